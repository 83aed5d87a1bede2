//! The trace of a run: JSON Lines, zstd-compressed.
//!
//! Written as a stream, so that memory does not grow with the run. A run that was interrupted
//! leaves a file without an end: the reader gives what lies before it and says so.

use super::ReportError;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};

const LEVEL: i32 = 3;
/// Most bytes of one line that are read.
const MOST_LINE_BYTES: usize = 1 << 20;

/// Appends lines to a trace.
pub struct TraceWriter {
    path: PathBuf,
    encoder: zstd::Encoder<'static, BufWriter<File>>,
    line: Vec<u8>,
}

impl TraceWriter {
    /// Begins a trace at `path`, in place of what is there.
    ///
    /// # Errors
    /// Where the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let file = File::create(path).map_err(|source| unwritten(path, source))?;
        let encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL);
        let mut encoder = encoder.map_err(|source| unwritten(path, source))?;
        let checked = encoder.include_checksum(true);
        checked.map_err(|source| unwritten(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            encoder,
            line: Vec::new(),
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn line(&mut self, event: &impl Serialize) -> Result<(), ReportError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, event).map_err(io::Error::from);
        self.line.push(b'\n');
        let written = written.and_then(|()| self.encoder.write_all(&self.line));
        written.map_err(|source| unwritten(&self.path, source))
    }

    /// Makes what was written so far readable, at a small cost in size.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        let flushed = self.encoder.flush();
        flushed.map_err(|source| unwritten(&self.path, source))
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// Where what is left cannot be written.
    pub fn finish(self) -> Result<(), ReportError> {
        let written = self.encoder.finish().and_then(|mut file| file.flush());
        written.map_err(|source| unwritten(&self.path, source))
    }
}

fn unwritten(path: &Path, source: io::Error) -> ReportError {
    let path = path.to_owned();
    ReportError::Write { path, source }
}

/// Reads a trace line by line. One line is in memory at a time.
pub struct TraceReader<T> {
    path: PathBuf,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    number: u64,
    ended: bool,
    interrupted: bool,
    events: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> TraceReader<T> {
    /// Opens a trace.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let unread = |source| ReportError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unread)?;
        let decoder = zstd::Decoder::new(file).map_err(unread)?;
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::new(decoder),
            number: 0,
            ended: false,
            interrupted: false,
            events: PhantomData,
        })
    }

    /// Whether the end of the file was missing; known once all lines were read.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    fn read(&mut self) -> Result<Option<T>, ReportError> {
        let mut line = Vec::new();
        let most = MOST_LINE_BYTES as u64;
        let read = (&mut self.lines).take(most).read_until(b'\n', &mut line);
        self.number += 1;
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.interrupted = true;
                return Ok(None);
            }
            Err(source) => {
                let path = self.path.clone();
                return Err(ReportError::Read { path, source });
            }
            Ok(0) => return Ok(None),
            Ok(_) => {}
        }
        let (path, number) = (self.path.clone(), self.number);
        if line.pop() != Some(b'\n') {
            if line.len() + 1 >= MOST_LINE_BYTES {
                let most = MOST_LINE_BYTES;
                return Err(ReportError::LongLine {
                    path,
                    line: number,
                    most,
                });
            }
            self.interrupted = true;
            return Ok(None);
        }
        let event = serde_json::from_slice(&line);
        event.map(Some).map_err(|source| ReportError::TraceLine {
            path,
            line: number,
            source,
        })
    }
}

impl<T: DeserializeOwned> Iterator for TraceReader<T> {
    type Item = Result<T, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.read();
        self.ended = !matches!(event, Ok(Some(_)));
        event.transpose()
    }
}
