//! Invented languages, so that a language model has something to learn without any file.
//!
//! Each language has its own letters, its own words, and for each word the few that may follow it:
//! a Markov chain over words. A model learns the letters first, then the words, then what follows
//! what, and languages differ in all three, as real ones do.

use archipel_protocol::random::{Stream, derive_key};

/// The invented languages by name.
pub(super) const LANGUAGES: [&str; 4] = ["amber", "birch", "coral", "dune"];

const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8] = b"aeiouy";
const WORDS: usize = 256;
const FOLLOWERS: usize = 6;

/// About `bytes` bytes of the language called `name`, the same for the same seed.
pub(super) fn text(seed: u64, name: &str, bytes: usize) -> Vec<u8> {
    let parts: [&[u8]; 2] = [&seed.to_be_bytes(), name.as_bytes()];
    let mut stream = Stream::new(derive_key("archipel/simulator/language/v1", &parts));
    let words = words(&mut stream);
    let mut draw = |n: usize| stream.below(n as u64) as usize;
    let followers: Vec<[usize; FOLLOWERS]> = (0..WORDS)
        .map(|_| std::array::from_fn(|_| draw(WORDS)))
        .collect();
    let (mut text, mut word, mut in_sentence) = (Vec::with_capacity(bytes + 32), 0, 0);
    while text.len() < bytes {
        text.extend_from_slice(&words[word]);
        in_sentence += 1;
        if in_sentence > 3 && draw(6) == 0 {
            text.extend_from_slice(if draw(4) == 0 { b".\n" } else { b". " });
            (word, in_sentence) = (draw(WORDS), 0);
        } else {
            text.push(b' ');
            // The smaller of two draws: early followers are the usual ones.
            word = followers[word][draw(FOLLOWERS).min(draw(FOLLOWERS))];
        }
    }
    text
}

fn words(stream: &mut Stream) -> Vec<Vec<u8>> {
    let consonants = some_of(CONSONANTS, 9, stream);
    let vowels = some_of(VOWELS, 3, stream);
    let mut letter = |letters: &[u8]| letters[stream.below(letters.len() as u64) as usize];
    let mut word = || {
        let mut word = Vec::new();
        // One to three syllables; every third is closed by a consonant.
        for _ in 0..=letter(&[0, 1, 1, 2]) {
            word.extend([letter(&consonants), letter(&vowels)]);
            if letter(&[0, 0, 1]) == 1 {
                word.push(letter(&consonants));
            }
        }
        word
    };
    (0..WORDS).map(|_| word()).collect()
}

fn some_of(letters: &[u8], count: usize, stream: &mut Stream) -> Vec<u8> {
    let mut left = letters.to_vec();
    let mut take = || left.remove(stream.below(left.len() as u64) as usize);
    (0..count).map(|_| take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_follow_their_seed_and_differ() {
        let amber = text(1, "amber", 5000);
        assert_eq!(amber, text(1, "amber", 5000));
        assert_ne!(amber, text(2, "amber", 5000));
        assert_ne!(amber, text(1, "birch", 5000));
        assert!((5000..5032).contains(&amber.len()) && amber.is_ascii());
    }

    #[test]
    fn a_language_can_be_learnt() {
        let entropy = archipel_trainer::order1_entropy(&text(1, "coral", 100_000));
        assert!((1.0..3.2).contains(&entropy), "{entropy} bits a byte");
    }
}
