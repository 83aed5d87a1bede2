//! The codecs' choices on a card: what is kept, and what is rounded. The bytes are the codec's.
//!
//! The card runs `select.cu`; the processor writes the payload from what comes back, with the code
//! that writes every payload. So a payload made here is the one
//! [`encode`](archipel_protocol::codec::encode) makes, byte by byte.

use super::discovery::{CudaError, compiler_fits, driver_version, nvrtc_version};
use archipel_protocol::codec::{
    Codec, CodecError, Encoded, Kept, Piece, encode, encode_kept, encode_levels, pieces,
};
use archipel_protocol::layout::Layout;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig,
    PushKernelArg,
};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use std::sync::Arc;

const SOURCE: &str = include_str!("select.cu");
/// Threads of a block, as in the source.
const THREADS: u32 = 256;
/// The most blocks of a launch; each takes one piece after the other.
const MAX_BLOCKS: u32 = 65_535;

/// Why a card did not encode.
#[derive(Debug, thiserror::Error)]
pub enum QuantizerError {
    /// The machine lacks something.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The kernels' source was refused.
    #[error("libnvrtc refused the codec's kernels: {source}: install another CUDA 12 toolkit")]
    Compile {
        /// What it said.
        source: CompileError,
    },
    /// The driver refused a step.
    #[error("the driver refused to {step}: {source}: encode on the processor instead")]
    Driver {
        /// What was tried.
        step: &'static str,
        /// What the driver said.
        source: DriverError,
    },
    /// The values cannot be encoded, or the card chose as no encoder does.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

fn refused(step: &'static str) -> impl Fn(DriverError) -> QuantizerError {
    move |source| QuantizerError::Driver { step, source }
}

/// A piece as the kernels read it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    len: u32,
    row: u32,
    stride: u32,
    limit: u32,
}

// SAFETY: plain numbers in C's order, without padding, as `struct Piece` of select.cu.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Place {}

impl From<&Piece> for Place {
    fn from(piece: &Piece) -> Self {
        Self {
            start: piece.start as u64,
            len: piece.len,
            row: piece.row,
            stride: piece.stride,
            limit: piece.limit,
        }
    }
}

/// The codec's kernels, loaded on one card.
pub struct Quantizer {
    stream: Arc<CudaStream>,
    select: CudaFunction,
    quantize: CudaFunction,
}

impl Quantizer {
    /// Compiles the kernels and loads them on card `number`.
    ///
    /// # Errors
    /// What the machine lacks, or a driver or compiler that refuses.
    pub fn new(number: usize) -> Result<Self, QuantizerError> {
        compiler_fits(nvrtc_version()?, driver_version()?)?;
        let context = CudaContext::new(number).map_err(refused("open the card"))?;
        let capability = context.compute_capability();
        let (major, minor) = capability.map_err(refused("tell the card's capability"))?;
        // Every operation rounds on its own, and subnormal numbers are kept, as SPEC.md says.
        let options = CompileOptions {
            ftz: Some(false),
            prec_div: Some(true),
            fmad: Some(false),
            options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
            ..Default::default()
        };
        let code = compile_ptx_with_opts(SOURCE, options);
        let code = code.map_err(|source| QuantizerError::Compile { source })?;
        let module = context
            .load_module(code)
            .map_err(refused("load the kernels"))?;
        let function = |name| module.load_function(name).map_err(refused("find a kernel"));
        Ok(Self {
            stream: context.default_stream(),
            select: function("select_largest")?,
            quantize: function("quantize_blocks")?,
        })
    }

    /// Encodes `values`, which lie as `layout` says: the bytes of
    /// [`encode`](archipel_protocol::codec::encode).
    ///
    /// # Errors
    /// What `encode` refuses, with its error, or a driver that refuses.
    pub fn encode(
        &self,
        codec: Codec,
        layout: &Layout,
        values: &[f32],
    ) -> Result<Encoded, QuantizerError> {
        let places = pieces(codec, layout)?;
        // Other codecs have no pieces, and are as fast to write as to send to a card.
        let fit = u32::try_from(places.len()).is_ok_and(|count| count > 0);
        if !fit || values.len() != layout.parameters() {
            return Ok(encode(codec, layout, values)?);
        }
        let finished = match codec {
            Codec::TopK2Bit { keep, .. } => self
                .kept(values, &places, keep)?
                .map(|kept| encode_kept(codec, layout, &kept)),
            _ => self
                .levels(values, &places)?
                .map(|found| encode_levels(layout, &found.scales, &found.levels)),
        };
        match finished {
            Some(encoded) => Ok(encoded?),
            // A value is not finite: the encoder names it.
            None => Ok(encode(codec, layout, values)?),
        }
    }

    /// What the card keeps of every piece; nothing where a value is not finite.
    #[allow(unsafe_code)]
    fn kept(
        &self,
        values: &[f32],
        places: &[Piece],
        room: u32,
    ) -> Result<Option<Kept>, QuantizerError> {
        let job = Job::new(&self.stream, values, places)?;
        let slots = places.len() * room as usize;
        let mut counts = self.zeros::<u32>(places.len())?;
        let (mut indices, mut kept) = (self.zeros::<u32>(slots)?, self.zeros::<f32>(slots)?);
        let mut bad = self.zeros::<u32>(1)?;
        let mut launch = self.stream.launch_builder(&self.select);
        launch.arg(&job.values).arg(&job.places).arg(&job.len);
        launch.arg(&room).arg(&mut counts).arg(&mut indices);
        launch.arg(&mut kept).arg(&mut bad);
        // SAFETY: the arguments are those of `select_largest`, in its order and of its types; a
        // piece lies within the values (the layout's own pieces), and at most `limit` ≤ `room`
        // slots of a piece are written.
        unsafe { launch.launch(job.shape()) }.map_err(refused("start the selection"))?;
        if self.copy(&bad)?[0] != 0 {
            return Ok(None);
        }
        let counts = self.copy(&counts)?;
        let (indices, kept) = (self.copy(&indices)?, self.copy(&kept)?);
        Ok(Some(packed(counts, &indices, &kept, room)))
    }

    /// Scales and levels of every block; nothing where a value is not finite.
    #[allow(unsafe_code)]
    fn levels(&self, values: &[f32], places: &[Piece]) -> Result<Option<Levels>, QuantizerError> {
        let job = Job::new(&self.stream, values, places)?;
        let mut scales = self.zeros::<f32>(places.len())?;
        let mut levels = self.zeros::<i8>(values.len())?;
        let mut bad = self.zeros::<u32>(1)?;
        let mut launch = self.stream.launch_builder(&self.quantize);
        launch.arg(&job.values).arg(&job.places).arg(&job.len);
        launch.arg(&mut scales).arg(&mut levels).arg(&mut bad);
        // SAFETY: the arguments are those of `quantize_blocks`, in its order and of its types; a
        // block lies within the values and has at most THREADS of them, and levels are as many as
        // values.
        unsafe { launch.launch(job.shape()) }.map_err(refused("start the quantization"))?;
        match self.copy(&bad)?[0] {
            0 => Ok(Some(Levels {
                scales: self.copy(&scales)?,
                levels: self.copy(&levels)?,
            })),
            _ => Ok(None),
        }
    }

    fn zeros<T: DeviceRepr + cudarc::driver::ValidAsZeroBits>(
        &self,
        len: usize,
    ) -> Result<CudaSlice<T>, QuantizerError> {
        self.stream
            .alloc_zeros(len)
            .map_err(refused("reserve memory"))
    }

    fn copy<T: DeviceRepr>(&self, slice: &CudaSlice<T>) -> Result<Vec<T>, QuantizerError> {
        self.stream
            .clone_dtoh(slice)
            .map_err(refused("copy a result"))
    }
}

/// What `int8` writes: a scale a block, a level a value.
struct Levels {
    scales: Vec<f32>,
    levels: Vec<i8>,
}

/// Values and pieces on the card.
struct Job {
    values: CudaSlice<f32>,
    places: CudaSlice<Place>,
    len: u32,
}

impl Job {
    fn new(
        stream: &Arc<CudaStream>,
        values: &[f32],
        places: &[Piece],
    ) -> Result<Self, QuantizerError> {
        let places: Vec<Place> = places.iter().map(Place::from).collect();
        Ok(Self {
            values: stream.clone_htod(values).map_err(refused("copy values"))?,
            places: stream.clone_htod(&places).map_err(refused("copy pieces"))?,
            len: places.len() as u32,
        })
    }

    fn shape(&self) -> LaunchConfig {
        LaunchConfig {
            grid_dim: (self.len.min(MAX_BLOCKS), 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        }
    }
}

/// Drops the slots that no value took.
fn packed(counts: Vec<u32>, indices: &[u32], values: &[f32], room: u32) -> Kept {
    let mut kept = Kept::default();
    for (piece, count) in counts.iter().enumerate() {
        let start = piece * room as usize;
        // A count beyond its room would be another piece's; the writer refuses it by its number.
        let end = start + (*count).min(room) as usize;
        kept.indices.extend_from_slice(&indices[start..end]);
        kept.values.extend_from_slice(&values[start..end]);
    }
    Kept { counts, ..kept }
}
