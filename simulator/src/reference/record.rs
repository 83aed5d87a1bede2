//! One record from its bytes, field by field.
//!
//! Written from the section *Records* of `protocol/SPEC.md`. Every field is walked over, so that a
//! body has exactly the bytes its fields need; what the checker compares is kept.

use archipel_protocol::{
    ids::{BlobHash, Digest, MemberId, Root, Round, RunId},
    suspicion::Sight,
};

/// Billionths in one.
const BILLION: u64 = 1_000_000_000;

/// The most bytes of a record.
const MAX_BYTES: usize = 65_536;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Whose log it is in.
    pub member: MemberId,
    /// Its place in the log, from 0.
    pub index: u64,
    /// The round it is about.
    pub round: Round,
    /// Its time.
    pub time_unix_ms: u64,
    /// The leaf of the record before it.
    pub previous: Digest,
    /// Which kind of record it is.
    pub kind: u8,
    /// What it says.
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing was done, by one of the four reasons.
    Absent {
        /// 1 down, 2 synced, 3 suspended, 4 late.
        reason: u8,
    },
    /// Inner steps done.
    Work {
        /// Steps.
        steps: u64,
        /// Tokens.
        tokens: u64,
        /// The state they began from.
        base: Root,
    },
    /// The update made of them.
    Update {
        /// Identity of its header.
        header: Digest,
        /// Its payload.
        payload: BlobHash,
        /// The state it belongs to.
        base: Root,
    },
    /// The updates received.
    Intake {
        /// Ascending by member, then header.
        entries: Vec<Received>,
    },
    /// The fold and its certified result.
    Commit(Box<Commit>),
    /// A record of the side log.
    Side,
}

/// One update received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whose.
    pub member: MemberId,
    /// Identity of its header.
    pub header: Digest,
    /// 1 accepted, 2 unavailable, 3 invalid, 4 equivocated.
    pub verdict: u8,
    /// How it looks beside the others of its cut.
    pub sight: Option<Sight>,
}

/// The fold and its certified result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// True where this member folded itself.
    pub folded: bool,
    /// 1 `mean`, 2 `centered_clip`.
    pub rule: u8,
    /// Identity of the cut.
    pub cut: Digest,
    /// Identities of its headers, ascending.
    pub headers: Vec<Digest>,
    /// The final block.
    pub block: Digest,
    /// One weight for every update, in voter order.
    pub weights: Vec<u64>,
    /// BLAKE3 of the aggregate.
    pub aggregate: BlobHash,
    /// Hash over the next state's momentum.
    pub outer: Digest,
    /// Hash over the next state's previous aggregate.
    pub memory: Digest,
    /// The next state.
    pub root: Root,
    /// Size of the side log.
    pub side_size: u64,
    /// Tree head of the side log.
    pub side_head: Digest,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More bytes than a record may have.
    #[error("a record has at most {MAX_BYTES} bytes, found {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// The bytes end in a field.
    #[error("{needed} bytes are needed, found {found}")]
    Short {
        /// Bytes needed so far.
        needed: usize,
        /// Bytes found.
        found: usize,
    },
    /// Bytes are left over.
    #[error("the record ends at byte {expected}, found {found} bytes")]
    Trailing {
        /// Where it ends.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A field holds a number that is not one of its own.
    #[error("byte {at} belongs to {field}, which is never {found}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where it ends in the record.
        at: usize,
        /// What was found.
        found: u64,
    },
    /// A text is not UTF-8.
    #[error("the text that ends at byte {at} is not UTF-8")]
    Text {
        /// Where it ends in the record.
        at: usize,
    },
    /// A list does not ascend.
    #[error("{list} do not ascend at position {position}")]
    Order {
        /// Which list.
        list: &'static str,
        /// The first position that breaks the order.
        position: usize,
    },
}

impl Record {
    /// Reads a record, all of it.
    ///
    /// # Errors
    /// Where the bytes are not exactly one record.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_BYTES {
            let found = bytes.len();
            return Err(RecordError::TooLong { found });
        }
        let mut fields = Fields { bytes, at: 0 };
        for expected in b"archipel-record2" {
            fields.one_of("the magic", 1, *expected..=*expected)?;
        }
        let record = Self {
            run_id: RunId(fields.array()?),
            member: MemberId(fields.array()?),
            index: fields.number(8)?,
            round: Round(fields.number(8)?),
            time_unix_ms: fields.number(8)?,
            previous: Digest(fields.array()?),
            kind: fields.number(1)? as u8,
            content: Content::Side,
        };
        let content = read_body(record.kind, &mut fields)?;
        if fields.at != bytes.len() {
            let (expected, found) = (fields.at, bytes.len());
            return Err(RecordError::Trailing { expected, found });
        }
        Ok(Self { content, ..record })
    }
}

fn read_body(kind: u8, fields: &mut Fields<'_>) -> Result<Content, RecordError> {
    let present = |fields: &mut Fields<'_>| fields.one_of("presence", 1, 0..=1);
    if (1..=4).contains(&kind) && present(fields)? == 0 {
        let reason = fields.one_of("the reason", 1, 1..=4)?;
        return Ok(Content::Absent { reason });
    }
    match kind {
        1 => return read_work(fields),
        2 => return read_update(fields),
        3 => return read_intake(fields),
        4 => return read_commit(fields),
        // Genesis: software and root.
        16 => {
            fields.text()?;
            fields.skip(32)?;
        }
        // A final block, or evidence, in wire encoding.
        17 | 22 => fields.counted_bytes()?,
        // Incident: kind and text.
        21 => {
            fields.text()?;
            fields.text()?;
        }
        // End: root.
        24 => fields.skip(32)?,
        _ => {
            let (at, found) = (fields.at, u64::from(kind));
            let field = "the kind";
            return Err(RecordError::Field { field, at, found });
        }
    }
    Ok(Content::Side)
}

fn read_work(fields: &mut Fields<'_>) -> Result<Content, RecordError> {
    let (steps, tokens) = (fields.number(8)?, fields.number(8)?);
    // Loss and floating-point operations.
    fields.skip(8 + 16)?;
    fields.one_of("energy", 8, 0..=0)?;
    fields.one_of("the source of energy", 1, 0..=0)?;
    // Device class and numerics; then the hash of the software.
    fields.text()?;
    fields.text()?;
    fields.skip(32)?;
    let base = Root(fields.array()?);
    // The work root.
    fields.skip(32)?;
    Ok(Content::Work {
        steps,
        tokens,
        base,
    })
}

fn read_update(fields: &mut Fields<'_>) -> Result<Content, RecordError> {
    let header = Digest(fields.array()?);
    // The epoch.
    fields.skip(4)?;
    fields.one_of("the codec", 1, 1..=6)?;
    // The length of the payload.
    fields.skip(8)?;
    let payload = BlobHash(fields.array()?);
    let base = Root(fields.array()?);
    // Residual and optimizer before and after, carried rounds, nonce commitment, signature.
    fields.skip(4 * 32 + 4 + 32 + 64)?;
    Ok(Content::Update {
        header,
        payload,
        base,
    })
}

fn read_intake(fields: &mut Fields<'_>) -> Result<Content, RecordError> {
    let mut entries = Vec::new();
    for _ in 0..fields.number(2)? {
        entries.push(Received {
            member: MemberId(fields.array()?),
            header: Digest(fields.array()?),
            verdict: fields.one_of("the verdict", 1, 1..=4)?,
            sight: fields.optional(read_sight)?,
        });
    }
    ascending("entries", &entries, |entry| (entry.member, entry.header))?;
    for _ in 0..fields.number(2)? {
        fields.skip(32)?;
        for _ in 0..fields.number(2)? {
            let position = fields.number(2)?;
            if position >= entries.len() as u64 {
                let (field, at) = ("a position in the entries", fields.at);
                let found = position;
                return Err(RecordError::Field { field, at, found });
            }
        }
        fields.skip(64)?;
    }
    Ok(Content::Intake { entries })
}

fn read_sight(fields: &mut Fields<'_>) -> Result<Sight, RecordError> {
    let share = |field, found: u64, at: usize, most: u64| match found > most {
        true => Err(RecordError::Field { field, at, found }),
        false => Ok(found),
    };
    let cosine = fields.optional(|fields| {
        let cosine = fields.number(8)? as i64;
        share("a cosine", cosine.unsigned_abs(), fields.at, BILLION).map(|_| cosine)
    })?;
    let norm_ratio = fields.number(8)?;
    share("a ratio of norms", norm_ratio, fields.at, 1000 * BILLION)?;
    let overlap = fields.optional(|fields| {
        let overlap = fields.number(8)?;
        share("an overlap", overlap, fields.at, BILLION)
    })?;
    Ok(Sight {
        cosine,
        norm_ratio,
        overlap,
    })
}

fn read_commit(fields: &mut Fields<'_>) -> Result<Content, RecordError> {
    let folded = fields.one_of("folded", 1, 0..=1)? == 1;
    let rule = fields.one_of("the rule", 1, 1..=8)?;
    let cut = Digest(fields.array()?);
    let mut headers = Vec::new();
    for _ in 0..fields.number(2)? {
        headers.push(Digest(fields.array()?));
    }
    ascending("headers", &headers, |header| *header)?;
    // Finalization: epoch, view, block, seals of a position and a signature.
    fields.skip(4 + 4)?;
    let block = Digest(fields.array()?);
    fields.seals(64)?;
    let mut weights = Vec::new();
    for _ in 0..fields.number(2)? {
        weights.push(fields.number(8)?);
    }
    let aggregate = BlobHash(fields.array()?);
    let (outer, memory) = (Digest(fields.array()?), Digest(fields.array()?));
    let root = Root(fields.array()?);
    // Certificate: epoch, seals of a position, an attempt and a signature.
    fields.skip(4)?;
    fields.seals(4 + 64)?;
    Ok(Content::Commit(Box::new(Commit {
        folded,
        rule,
        cut,
        headers,
        block,
        weights,
        aggregate,
        outer,
        memory,
        root,
        side_size: fields.number(8)?,
        side_head: Digest(fields.array()?),
    })))
}

/// Fails unless every key lies above the one before it.
fn ascending<T, K: Ord>(
    list: &'static str,
    items: &[T],
    key: impl Fn(&T) -> K,
) -> Result<(), RecordError> {
    for position in 1..items.len() {
        if key(&items[position - 1]) >= key(&items[position]) {
            return Err(RecordError::Order { list, position });
        }
    }
    Ok(())
}

/// Big-endian fields from front to back.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (needed, found) = (self.at.saturating_add(count), self.bytes.len());
        let taken = self.bytes.get(self.at..needed);
        let taken = taken.ok_or(RecordError::Short { needed, found })?;
        self.at = needed;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        self.take(count).map(drop)
    }

    fn array(&mut self) -> Result<[u8; 32], RecordError> {
        let mut array = [0; 32];
        array.copy_from_slice(self.take(32)?);
        Ok(array)
    }

    /// A number of up to eight bytes.
    fn number(&mut self, width: usize) -> Result<u64, RecordError> {
        let bytes = self.take(width)?;
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(bytes.iter().fold(0, digit))
    }

    /// A number of which only these values have a meaning.
    fn one_of(
        &mut self,
        field: &'static str,
        width: usize,
        allowed: std::ops::RangeInclusive<u8>,
    ) -> Result<u8, RecordError> {
        let (found, at) = (self.number(width)?, self.at);
        match u8::try_from(found) {
            Ok(value) if allowed.contains(&value) => Ok(value),
            _ => Err(RecordError::Field { field, at, found }),
        }
    }

    /// A zero, or a one and what `read` takes.
    fn optional<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        match self.one_of("presence", 1, 0..=1)? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }

    fn counted_bytes(&mut self) -> Result<(), RecordError> {
        let count = self.number(4)? as usize;
        self.skip(count)
    }

    fn text(&mut self) -> Result<(), RecordError> {
        let count = self.number(4)? as usize;
        let text = self.take(count)?;
        match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(_) => Err(RecordError::Text { at: self.at }),
        }
    }

    /// Seals: ascending positions, each with so many bytes behind it.
    fn seals(&mut self, behind: usize) -> Result<(), RecordError> {
        let mut positions = Vec::new();
        for _ in 0..self.number(2)? {
            positions.push(self.number(2)?);
            self.skip(behind)?;
        }
        ascending("seals", &positions, |position| *position)
    }
}
