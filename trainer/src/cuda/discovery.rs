//! What a machine has for training on cards, asked so that nothing panics where it is missing.
//!
//! burn's CUDA backend loads the driver (`libcuda`) and the run-time compiler (`libnvrtc`) when it
//! is first used, and gives the compiler the toolkit's headers; each of the three panics inside the
//! library where it is missing. So each is looked for here first, where the library will look.

use burn::cubecl::cuda::install;
use cudarc::driver::{CudaContext, DriverError, result, sys};
use cudarc::nvrtc::sys as nvrtc;
use std::path::{Path, PathBuf};

/// The lowest compute capability whose tensor cores multiply bf16: Ampere.
pub const MINIMUM_CAPABILITY: (u32, u32) = (8, 0);

/// Headers that generated kernels include, below `include` of the toolkit.
const HEADERS: [&str; 4] = [
    "cuda_runtime.h",
    "cuda_fp16.h",
    "cuda_bf16.h",
    "cooperative_groups.h",
];

/// Where libnvrtc lies in installations that do not tell the dynamic linker.
const LIBRARY_FOLDERS: [&str; 4] = [
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/targets/x86_64-linux/lib",
    "/opt/cuda/lib64",
    "/usr/lib/cuda/lib64",
];

/// Why cards cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The driver's library is not there.
    #[error("libcuda is not found: install NVIDIA's driver, 525 or later")]
    NoDriver,
    /// The driver refused a call.
    #[error("the driver refused {call}: {source}: see dmesg, and that /dev/nvidia0 is readable")]
    Driver {
        /// What was asked.
        call: &'static str,
        /// What the driver said.
        source: DriverError,
    },
    /// The run-time compiler's library is not found.
    #[error("libnvrtc is not found: {}", match found {
        Some(folder) => format!(
            "it lies in {}: add that folder to LD_LIBRARY_PATH", folder.display()
        ),
        None => "install the CUDA 12 toolkit, or its package cuda-nvrtc".to_owned(),
    })]
    NoCompiler {
        /// A folder that holds one and is not searched.
        found: Option<PathBuf>,
    },
    /// The run-time compiler did not answer.
    #[error("libnvrtc answered a question for its version with error {code}: install it again")]
    Compiler {
        /// Its error code.
        code: u32,
    },
    /// The compiler writes code that the driver does not read.
    #[error(
        "libnvrtc is of CUDA {}.{}, the driver reads code up to CUDA {}.{}: update the driver, or \
         install an older toolkit", compiler.0, compiler.1, driver.0, driver.1
    )]
    CompilerTooNew {
        /// Version of libnvrtc.
        compiler: (u32, u32),
        /// Version of CUDA that the driver knows.
        driver: (u32, u32),
    },
    /// No folder of the toolkit was found.
    #[error(
        "the CUDA toolkit's headers are not found: install them, and set CUDA_PATH to the folder \
         that holds include/cuda_runtime.h (looked at CUDA_PATH, /usr/local/cuda, /opt/cuda, /usr)"
    )]
    NoToolkit,
    /// A header is not where the toolkit is.
    #[error(
        "{} is not there, and kernels need it: install the toolkit's headers, or set CUDA_PATH to \
         the folder whose include/ holds it", path.display()
    )]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The driver shows no card.
    #[error("the driver shows no card: see `nvidia-smi`, and CUDA_VISIBLE_DEVICES")]
    NoCard,
    /// There is no card of this number.
    #[error("there are cards 0 to {last}, found number {found}: name another")]
    Number {
        /// The last card's number.
        last: usize,
        /// The number found.
        found: usize,
    },
    /// A card is named twice, or none is named.
    #[error("name each card once, and one at the least; found {found:?}")]
    Choice {
        /// The numbers found.
        found: Vec<usize>,
    },
    /// A card is too old.
    #[error(
        "card {number} ({name}) has compute capability {}.{}, products in bf16 need {}.{}: take \
         another card", found.0, found.1, MINIMUM_CAPABILITY.0, MINIMUM_CAPABILITY.1
    )]
    Capability {
        /// The card's number.
        number: usize,
        /// Its name.
        name: String,
        /// Its compute capability.
        found: (u32, u32),
    },
}

/// A card, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its number, from 0, in the driver's order.
    pub number: usize,
    /// The product's name.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
    /// Bytes free at the time of asking.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Card {
    /// Whether its tensor cores multiply bf16.
    pub fn is_able(&self) -> bool {
        self.capability >= MINIMUM_CAPABILITY
    }
}

fn said(call: &'static str) -> impl Fn(DriverError) -> CudaError {
    move |source| CudaError::Driver { call, source }
}

#[allow(unsafe_code)]
fn driver() -> Result<(), CudaError> {
    // SAFETY: this opens and closes a shared library of the system by its fixed names.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    result::init().map_err(said("cuInit"))
}

/// The newest CUDA that the driver knows: major, minor.
///
/// # Errors
/// No driver, or one that refuses.
#[allow(unsafe_code)]
pub fn driver_version() -> Result<(u32, u32), CudaError> {
    driver()?;
    let mut version = 0;
    // SAFETY: the library is there, and the call writes one integer.
    let answer = unsafe { sys::cuDriverGetVersion(&mut version) };
    answer.result().map_err(said("cuDriverGetVersion"))?;
    let version = version.max(0) as u32;
    Ok((version / 1000, version % 1000 / 10))
}

/// The version of the run-time compiler: major, minor.
///
/// # Errors
/// No compiler, or one that does not answer.
#[allow(unsafe_code)]
pub fn nvrtc_version() -> Result<(u32, u32), CudaError> {
    // SAFETY: this opens and closes a shared library of the system by its fixed names.
    if !unsafe { nvrtc::is_culib_present() } {
        let holds = |folder: &&&str| Path::new(folder).join("libnvrtc.so").exists();
        let found = LIBRARY_FOLDERS.iter().find(holds).map(PathBuf::from);
        return Err(CudaError::NoCompiler { found });
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there, and the call writes two integers.
    let answer = unsafe { nvrtc::nvrtcVersion(&mut major, &mut minor) };
    match answer {
        nvrtc::nvrtcResult::NVRTC_SUCCESS => Ok((major.max(0) as u32, minor.max(0) as u32)),
        other => Err(CudaError::Compiler { code: other as u32 }),
    }
}

/// Refuses a compiler whose code the driver would not read.
///
/// # Errors
/// The compiler is newer.
pub fn compiler_fits(compiler: (u32, u32), driver: (u32, u32)) -> Result<(), CudaError> {
    match compiler > driver {
        true => Err(CudaError::CompilerTooNew { compiler, driver }),
        false => Ok(()),
    }
}

/// The folder of headers that kernels are compiled with: where burn's CUDA backend looks.
///
/// # Errors
/// No toolkit, or one without a header that kernels include.
pub fn headers() -> Result<PathBuf, CudaError> {
    headers_of(install::cuda_path())
}

fn headers_of(toolkit: Option<PathBuf>) -> Result<PathBuf, CudaError> {
    let folder = toolkit.ok_or(CudaError::NoToolkit)?.join("include");
    let missing = HEADERS.iter().find(|name| !folder.join(name).exists());
    match missing {
        Some(name) => Err(CudaError::NoHeader {
            path: folder.join(name),
        }),
        None => Ok(folder),
    }
}

/// The cards that the driver shows, in its order.
///
/// # Errors
/// No driver, no card, or a driver that refuses.
pub fn cards() -> Result<Vec<Card>, CudaError> {
    driver()?;
    let count = CudaContext::device_count().map_err(said("cuDeviceGetCount"))?;
    if count < 1 {
        return Err(CudaError::NoCard);
    }
    (0..count as usize).map(card).collect()
}

fn card(number: usize) -> Result<Card, CudaError> {
    let context = CudaContext::new(number).map_err(said("cuDevicePrimaryCtxRetain"))?;
    let capability = context.compute_capability();
    let (major, minor) = capability.map_err(said("cuDeviceGetAttribute"))?;
    let (free, total) = context.mem_get_info().map_err(said("cuMemGetInfo"))?;
    Ok(Card {
        number,
        name: context.name().map_err(said("cuDeviceGetName"))?,
        capability: (major.max(0) as u32, minor.max(0) as u32),
        free_bytes: free as u64,
        total_bytes: total as u64,
    })
}

/// The named cards, after everything that training on them needs was found.
///
/// # Errors
/// The first thing missing.
pub(super) fn usable(numbers: &[usize]) -> Result<Vec<Card>, CudaError> {
    let driver = driver_version()?;
    compiler_fits(nvrtc_version()?, driver)?;
    headers()?;
    choose(&cards()?, numbers)
}

fn choose(cards: &[Card], numbers: &[usize]) -> Result<Vec<Card>, CudaError> {
    let mut once = numbers.to_vec();
    once.sort_unstable();
    once.dedup();
    if once.is_empty() || once.len() != numbers.len() {
        let found = numbers.to_vec();
        return Err(CudaError::Choice { found });
    }
    let named = |number: &usize| {
        let card = cards.get(*number).ok_or(CudaError::Number {
            last: cards.len() - 1,
            found: *number,
        })?;
        match card.is_able() {
            true => Ok(card.clone()),
            false => Err(CudaError::Capability {
                number: *number,
                name: card.name.clone(),
                found: card.capability,
            }),
        }
    };
    numbers.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_never_panics_whatever_the_machine_has() {
        let answers = [
            driver_version().map(drop),
            nvrtc_version().map(drop),
            headers().map(drop),
            cards().map(drop),
            usable(&[0]).map(drop),
        ];
        for answer in answers {
            let said = answer.map_or_else(|error| error.to_string(), |()| "there".to_owned());
            assert!(!said.is_empty());
        }
    }

    #[test]
    fn headers_are_looked_for_one_by_one() {
        assert_eq!(headers_of(None), Err(CudaError::NoToolkit));
        let toolkit = tempfile::tempdir().expect("a folder");
        let include = toolkit.path().join("include");
        std::fs::create_dir(&include).expect("ours");
        for name in HEADERS {
            let path = include.join(name);
            let refused = headers_of(Some(toolkit.path().into()));
            assert_eq!(refused, Err(CudaError::NoHeader { path: path.clone() }));
            std::fs::write(path, "").expect("ours");
        }
        assert_eq!(headers_of(Some(toolkit.path().into())), Ok(include));
    }

    #[test]
    fn cards_are_chosen_by_number_once_and_only_where_able() {
        let card = |number, capability| Card {
            number,
            name: "a card".to_owned(),
            capability,
            free_bytes: 1,
            total_bytes: 2,
        };
        let cards = [card(0, (8, 0)), card(1, (7, 5)), card(2, (12, 0))];
        let chosen = choose(&cards, &[2, 0]).expect("both are able");
        assert_eq!((chosen[0].number, chosen[1].number), (2, 0));
        let refused = choose(&cards, &[1]);
        assert!(matches!(
            refused,
            Err(CudaError::Capability { number: 1, .. })
        ));
        let refused = choose(&cards, &[3]);
        assert_eq!(refused, Err(CudaError::Number { last: 2, found: 3 }));
        for numbers in [vec![], vec![0, 0]] {
            let refused = choose(&cards, &numbers);
            assert_eq!(refused, Err(CudaError::Choice { found: numbers }));
        }
    }

    #[test]
    fn a_compiler_may_be_older_than_the_driver_and_not_newer() {
        assert_eq!(compiler_fits((12, 8), (13, 0)), Ok(()));
        assert_eq!(compiler_fits((12, 8), (12, 8)), Ok(()));
        let refused = compiler_fits((12, 8), (12, 4)).expect_err("newer");
        assert!(refused.to_string().contains("CUDA 12.8"), "{refused}");
    }
}
