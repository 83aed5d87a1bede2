//! Which tokenizer a run's tokens are made with: what the plan says, found in the site's folders,
//! and data of any other refused.

use anyhow::{Context, bail};
use archipel_protocol::charter::{Plan, plan::Tokenizer as PlanTokenizer};
use archipel_trainer::data::{Manifest, TOKENIZER_FILE, Tokenizer, TokenizerId};
use std::path::Path;

/// Bytes kind, as manifests name it.
const BYTES: &str = "bytes";
/// Kind of a `tokenizer.json`, as manifests name it.
const HF: &str = "hf";

/// The tokenizer that a plan asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTokenizer {
    /// As manifests name it.
    kind: &'static str,
    /// BLAKE3 of its `tokenizer.json`, in hexadecimal.
    blake3: Option<String>,
    /// Different tokens of the model.
    vocabulary: u32,
}

/// Held-out tokens, and the bytes of text that they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldOut {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Bytes of text; with the byte tokenizer as many as tokens.
    pub bytes: u64,
}

impl PlannedTokenizer {
    /// What a plan asks for.
    pub fn of(plan: &Plan) -> Self {
        let (kind, blake3) = match plan.tokenizer {
            PlanTokenizer::Bytes => (BYTES, None),
            PlanTokenizer::Hf(hash) => (HF, Some(hash.to_string())),
        };
        Self {
            kind,
            blake3,
            vocabulary: plan.model.vocabulary,
        }
    }

    /// Refuses tokens that the plan's model would read otherwise than they were written.
    ///
    /// # Errors
    /// Another tokenizer, or more tokens than the model has.
    pub fn check(&self, found: &TokenizerId) -> anyhow::Result<()> {
        if (self.kind, &self.blake3) != (found.kind.as_str(), &found.blake3) {
            let way = match self.kind {
                BYTES => "without --tokenizer",
                _ => "with the run's tokenizer: --tokenizer FILE",
            };
            bail!(
                "expected data of the plan's tokenizer, {}, found {}: prepare it again {way}",
                named(self.kind, self.blake3.as_deref()),
                named(&found.kind, found.blake3.as_deref())
            );
        }
        if found.vocabulary > self.vocabulary {
            bail!(
                "expected tokens below the model's vocabulary of {}, found a tokenizer of {}: the \
                 plan's model is too small for it",
                self.vocabulary,
                found.vocabulary
            );
        }
        Ok(())
    }

    /// Loads it from the first of the folders that has it.
    ///
    /// # Errors
    /// Folders without it, or a file that is not the one the plan names.
    pub fn load(&self, folders: &[&Path]) -> anyhow::Result<Tokenizer> {
        if self.kind == BYTES {
            return Ok(Tokenizer::Bytes);
        }
        let has_one = |folder: &&&Path| folder.join(TOKENIZER_FILE).exists();
        let Some(folder) = folders.iter().find(has_one) else {
            bail!(
                "expected {TOKENIZER_FILE}, which the plan names by its hash, in the member's \
                 folder or its data's, found none: put it there"
            );
        };
        // Prepared data knows which of its tokens is the boundary.
        let tokenizer = match Manifest::read(folder) {
            Ok(manifest) => Tokenizer::of_data(folder, &manifest.tokenizer)?,
            Err(_) => Tokenizer::read(&folder.join(TOKENIZER_FILE), None)?,
        };
        self.check(&tokenizer.id())
            .with_context(|| folder.join(TOKENIZER_FILE).display().to_string())?;
        Ok(tokenizer)
    }
}

/// The tokens of held-out bytes. Zero bytes tell documents apart, as with the byte tokenizer.
///
/// # Errors
/// Text that the tokenizer refuses.
pub fn encode_held_out(tokenizer: &Tokenizer, bytes: &[u8]) -> anyhow::Result<HeldOut> {
    if matches!(tokenizer, Tokenizer::Bytes) {
        return Ok(HeldOut {
            tokens: archipel_trainer::data::byte_tokens(bytes),
            bytes: bytes.len() as u64,
        });
    }
    let mut held_out = HeldOut::default();
    let documents = bytes.split(|byte| *byte == archipel_trainer::data::DOCUMENT_BOUNDARY);
    for document in documents.filter(|document| !document.is_empty()) {
        let text = String::from_utf8_lossy(document);
        held_out.tokens.push(tokenizer.boundary());
        held_out.tokens.extend(tokenizer.encode(&text)?);
        held_out.bytes += document.len() as u64;
    }
    Ok(held_out)
}

fn named(kind: &str, blake3: Option<&str>) -> String {
    match blake3 {
        Some(hash) => format!("{kind} {hash}"),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hf(hash: &str, vocabulary: u32) -> TokenizerId {
        TokenizerId {
            kind: "hf".to_owned(),
            blake3: Some(hash.to_owned()),
            vocabulary,
            boundary: Some(0),
        }
    }

    #[test]
    fn data_of_the_plan_s_tokenizer_is_taken() {
        let plan = PlannedTokenizer::of(&Plan::demo());
        plan.check(&TokenizerId::bytes()).expect("bytes are bytes");
        let bytes = encode_held_out(&plan.load(&[]).expect("built in"), b"\0a").expect("bytes");
        assert_eq!((bytes.tokens, bytes.bytes), (vec![0, 97], 2));
    }

    #[test]
    fn a_plan_names_a_tokenizer_by_the_hash_that_manifests_have() {
        let bytes = b"{}";
        let mut plan = Plan::demo();
        let hash = *blake3::hash(bytes).as_bytes();
        plan.tokenizer = PlanTokenizer::Hf(archipel_protocol::ids::BlobHash(hash));
        let found = blake3::hash(bytes).to_hex().to_string();
        let planned = PlannedTokenizer::of(&plan);
        planned.check(&hf(&found, 256)).expect("the same file");
    }

    #[test]
    fn data_of_another_tokenizer_is_refused_with_the_way_out() {
        let plan = PlannedTokenizer::of(&Plan::demo());
        let refused = plan.check(&hf("ab", 200)).expect_err("another tokenizer");
        let text = refused.to_string();
        assert!(
            text.contains("tokenizer, bytes, found hf ab: prepare it"),
            "{text}"
        );
        assert!(text.contains("without --tokenizer"), "{text}");

        let plan = PlannedTokenizer {
            kind: "hf",
            blake3: Some("ab".to_owned()),
            vocabulary: 300,
        };
        plan.check(&hf("ab", 300)).expect("the same file");
        for other in [hf("cd", 300), TokenizerId::bytes()] {
            let refused = plan.check(&other).expect_err("another tokenizer");
            assert!(
                refused.to_string().contains("--tokenizer FILE"),
                "{refused}"
            );
        }
        let refused = plan.check(&hf("ab", 301)).expect_err("too many tokens");
        assert!(
            refused.to_string().contains("found a tokenizer of 301"),
            "{refused}"
        );
        let refused = plan.load(&[Path::new("/nowhere")]).expect_err("no file");
        assert!(refused.to_string().contains("put it there"), "{refused}");
    }
}
