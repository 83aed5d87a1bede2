//! Frames of the bulk plane: `/archipel/blob/2`.
//!
//! One stream carries any number of requests for one or several blobs; answers come in the order
//! of the requests, so a receiver keeps many on their way. All numbers are big-endian.
//!
//! | request | bytes | | answer | bytes |
//! |---|---|---|---|---|
//! | what: 1 outline, 2 chunk, 3 chunk that may be compressed | 1 | | status | 1 |
//! | blob hash | 32 | | length of the body | 4 |
//! | blob length | 8 | | body: chaining values or the chunk | |
//! | chunk number; 0 for an outline | 4 | | | |
//!
//! Status: 0 here, 1 absent, 2 busy, 3 failed, 4 here and compressed. Without a body the length is
//! 0. A receiver knows the length of every body before it asks, and the most a compressed one may
//! have. An answer with another length is refused before anything is allocated.

use archipel_protocol::{
    blob::compressed::{self, DecompressError},
    ids::BlobHash,
};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use std::io;

/// Bytes of a request.
pub(super) const REQUEST_LEN: usize = 1 + 32 + 8 + 4;
/// Bytes before the body of an answer.
pub(super) const ANSWER_HEAD_LEN: usize = 1 + 4;

/// Why a frame of the bulk plane was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The request asks for something unknown.
    #[error("expected a request for an outline (1) or a chunk (2, 3), found {found}")]
    Kind {
        /// The byte that came.
        found: u8,
    },
    /// The chunk number does not fit the request.
    #[error("chunk {found} is outside the blob, which has {count}")]
    Index {
        /// The number that came.
        found: u32,
        /// Chunks that a blob of the request's length has.
        count: u32,
    },
    /// The blob is longer than any blob may be.
    #[error("a request for a blob of {len} bytes, longer than any blob may be")]
    TooLong {
        /// The length that came.
        len: u64,
    },
    /// The answer has an unknown status.
    #[error("expected an answer's status from 0 to 4, found {found}")]
    Status {
        /// The byte that came.
        found: u8,
    },
    /// The body has another length than what was asked for.
    #[error("expected a body of {expected} bytes, found {found} announced")]
    Length {
        /// The length that the request implies.
        expected: u32,
        /// The length that was announced.
        found: u32,
    },
    /// A compressed body has another length than one may have.
    #[error("expected a compressed body of 1 to {most} bytes, found {found} announced")]
    Compressed {
        /// The longest that was worth compressing; 0 where nobody asked for one.
        most: u32,
        /// The length that was announced.
        found: u32,
    },
    /// A compressed body is not what was asked for.
    #[error("{0}")]
    Decompress(#[from] DecompressError),
}

/// A frame that did not arrive: the stream broke, or the other side is not correct.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameFailure {
    #[error("the stream broke: {0}")]
    Stream(#[from] io::Error),
    #[error("{0}")]
    Wire(#[from] WireError),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Outline,
    Chunk(u32),
    /// A chunk that may come compressed.
    Compressible(u32),
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) hash: BlobHash,
    pub(super) len: u64,
    pub(super) part: Part,
}

impl Request {
    /// The bytes on the wire.
    pub(super) fn encode(&self) -> [u8; REQUEST_LEN] {
        let (kind, index) = match self.part {
            Part::Outline => (1, 0),
            Part::Chunk(index) => (2, index),
            Part::Compressible(index) => (3, index),
        };
        let mut bytes = [0; REQUEST_LEN];
        bytes[0] = kind;
        bytes[1..33].copy_from_slice(&self.hash.0);
        bytes[33..41].copy_from_slice(&self.len.to_be_bytes());
        bytes[41..45].copy_from_slice(&index.to_be_bytes());
        bytes
    }

    /// Reads the bytes back, and checks that the blob has what is asked for.
    pub(super) fn decode(bytes: &[u8; REQUEST_LEN]) -> Result<Self, WireError> {
        let hash = BlobHash(bytes[1..33].try_into().expect("32 of the 45 bytes"));
        let len = u64::from_be_bytes(bytes[33..41].try_into().expect("8 of the 45 bytes"));
        let index = u32::from_be_bytes(bytes[41..45].try_into().expect("4 of the 45 bytes"));
        let count =
            archipel_protocol::blob::chunk_count(len).map_err(|_| WireError::TooLong { len })?;
        let part = match (bytes[0], index) {
            (1, 0) => Part::Outline,
            (2, index) if index < count => Part::Chunk(index),
            (3, index) if index < count => Part::Compressible(index),
            (1..=3, found) => return Err(WireError::Index { found, count }),
            (found, _) => return Err(WireError::Kind { found }),
        };
        Ok(Self { hash, len, part })
    }
}

/// How an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Here = 0,
    Absent = 1,
    Busy = 2,
    Failed = 3,
    Compressed = 4,
}

impl Status {
    fn decode(byte: u8) -> Result<Self, WireError> {
        match byte {
            0 => Ok(Self::Here),
            1 => Ok(Self::Absent),
            2 => Ok(Self::Busy),
            3 => Ok(Self::Failed),
            4 => Ok(Self::Compressed),
            found => Err(WireError::Status { found }),
        }
    }
}

/// Reads the next request; `None` where the other side has closed its half between two requests.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Request>, FrameFailure> {
    let mut bytes = [0; REQUEST_LEN];
    let mut filled = 0;
    while filled < REQUEST_LEN {
        match stream.read(&mut bytes[filled..]).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => filled += more,
        }
    }
    Ok(Some(Request::decode(&bytes)?))
}

/// Writes and flushes one answer; returns the bytes written.
///
/// # Panics
/// Where the body is 4 GiB or longer: a chunk and an outline never are.
pub(super) async fn write_answer(
    stream: &mut (impl AsyncWrite + Unpin),
    status: Status,
    body: &[u8],
) -> io::Result<usize> {
    let len = u32::try_from(body.len()).expect("bodies are far below 4 GiB");
    let mut head = [0; ANSWER_HEAD_LEN];
    head[0] = status as u8;
    head[1..].copy_from_slice(&len.to_be_bytes());
    stream.write_all(&head).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    Ok(head.len() + body.len())
}

/// Reads one answer into `body`, whose length is the length that the request for `part` implies.
/// Returns the bytes that came as well.
pub(super) async fn read_answer(
    stream: &mut (impl AsyncRead + Unpin),
    part: Part,
    body: &mut [u8],
) -> Result<(Status, usize), FrameFailure> {
    let mut head = [0; ANSWER_HEAD_LEN];
    stream.read_exact(&mut head).await?;
    let status = Status::decode(head[0])?;
    let found = u32::from_be_bytes(head[1..].try_into().expect("4 of the 5 bytes"));
    let implied = u32::try_from(body.len()).expect("bodies are far below 4 GiB");
    if status == Status::Compressed {
        let most = match part {
            Part::Compressible(_) => compressed::most_bytes(body.len()) as u32,
            Part::Outline | Part::Chunk(_) => 0,
        };
        if found == 0 || found > most {
            return Err(WireError::Compressed { most, found }.into());
        }
        let mut frame = vec![0; found as usize];
        stream.read_exact(&mut frame).await?;
        compressed::decompress(&frame, body).map_err(WireError::from)?;
        return Ok((Status::Here, head.len() + frame.len()));
    }
    let expected = if status == Status::Here { implied } else { 0 };
    if found != expected {
        return Err(WireError::Length { expected, found }.into());
    }
    if status == Status::Here {
        stream.read_exact(body).await?;
    }
    Ok((status, head.len() + expected as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use proptest::prelude::*;

    fn request(part: Part) -> Request {
        Request {
            hash: BlobHash([7; 32]),
            len: 1 << 20,
            part,
        }
    }

    #[test]
    fn requests_survive_the_wire() {
        for part in [
            Part::Outline,
            Part::Chunk(0),
            Part::Chunk(3),
            Part::Compressible(3),
        ] {
            let bytes = request(part).encode();
            assert_eq!(Request::decode(&bytes), Ok(request(part)));
            let read = block_on(read_request(&mut &bytes[..])).expect("whole");
            assert_eq!(read, Some(request(part)));
        }
        assert!(
            block_on(read_request(&mut &b""[..]))
                .expect("a clean end")
                .is_none()
        );
        assert!(block_on(read_request(&mut &[1u8; 9][..])).is_err());
    }

    #[test]
    fn wrong_requests_are_refused() {
        let refused = Request::decode(&request(Part::Chunk(4)).encode());
        assert_eq!(refused, Err(WireError::Index { found: 4, count: 4 }));
        let mut bytes = request(Part::Outline).encode();
        bytes[0] = 9;
        assert_eq!(Request::decode(&bytes), Err(WireError::Kind { found: 9 }));
        let long = Request {
            len: u64::MAX,
            ..request(Part::Outline)
        };
        assert_eq!(
            Request::decode(&long.encode()),
            Err(WireError::TooLong { len: u64::MAX })
        );
    }

    #[test]
    fn answers_with_another_length_or_status_are_refused() {
        let mut sent = futures::io::Cursor::new(Vec::new());
        block_on(write_answer(&mut sent, Status::Here, b"abc")).expect("memory takes it");
        let sent = sent.into_inner();
        let mut body = [0; 3];
        let part = Part::Chunk(0);
        let came = block_on(read_answer(&mut &sent[..], part, &mut body)).expect("whole");
        assert_eq!((came, &body), ((Status::Here, sent.len()), b"abc"));

        let cases: [(&[u8], WireError); 4] = [
            (
                &[0, 255, 255, 255, 255],
                WireError::Length {
                    expected: 3,
                    found: u32::MAX,
                },
            ),
            (
                &[1, 0, 0, 0, 3],
                WireError::Length {
                    expected: 0,
                    found: 3,
                },
            ),
            (&[5, 0, 0, 0, 0], WireError::Status { found: 5 }),
            (
                &[4, 0, 0, 0, 2, 1, 1],
                WireError::Compressed { most: 0, found: 2 },
            ),
        ];
        for (bytes, expected) in cases {
            let refused = block_on(read_answer(&mut &bytes[..], part, &mut body));
            let same = matches!(&refused, Err(FrameFailure::Wire(found)) if *found == expected);
            assert!(same, "{refused:?}, expected {expected:?}");
        }
    }

    #[test]
    fn a_compressed_answer_is_the_chunk() {
        let chunk = [5; 4000];
        let frame = compressed::compress(&chunk).expect("one byte repeated");
        let mut sent = futures::io::Cursor::new(Vec::new());
        block_on(write_answer(&mut sent, Status::Compressed, &frame)).expect("memory takes it");
        let sent = sent.into_inner();
        let read = |part, sent: &[u8], body: &mut [u8]| {
            block_on(read_answer(&mut &sent[..], part, body)).map_err(|error| error.to_string())
        };
        let mut body = [0; 4000];
        let came = read(Part::Compressible(0), &sent, &mut body);
        assert_eq!(came, Ok((Status::Here, sent.len())));
        assert_eq!(body, chunk);

        let mut longer = [0; 4001];
        let refused = read(Part::Compressible(0), &sent, &mut longer);
        assert!(refused.is_err_and(|error| error.contains("found one of 4000")));
        let refused = read(Part::Chunk(0), &sent, &mut body);
        assert!(refused.is_err_and(|error| error.contains("1 to 0 bytes")));
        let plain = [&[4, 0, 0, 0x0f, 0xa0][..], &chunk].concat();
        let refused = read(Part::Compressible(0), &plain, &mut body);
        assert!(refused.is_err_and(|error| error.contains("1 to 3875 bytes")));
        for len in 5..sent.len() {
            assert!(read(Part::Compressible(0), &sent[..len], &mut body).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_what_encodes_to_them_or_are_refused(
            bytes in prop::collection::vec(any::<u8>(), REQUEST_LEN),
            kind in 0u8..5,
        ) {
            let mut bytes: [u8; REQUEST_LEN] = bytes.try_into().expect("the right length");
            bytes[0] = kind;
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
            }
        }
    }
}
