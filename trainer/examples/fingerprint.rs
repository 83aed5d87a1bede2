//! Prints the fingerprint of this build's arithmetic, for emulators and other machines.
//!
//! `cargo run --release -p archipel-trainer --example fingerprint -- [ISA] [THREADS]`, where ISA is
//! `scalar`, `avx2` or `avx512`.

use archipel_trainer::{Isa, NUMERICS_CLASS, fingerprint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    if let Some(name) = words.next() {
        let found = Isa::ALL.into_iter().find(|isa| isa.name() == name);
        let Some(isa) = found else {
            return Err(format!("expected scalar, avx2 or avx512, found {name}").into());
        };
        isa.choose()?;
    }
    let threads = words.next().map_or(Ok(1), |word| word.parse())?;
    let root = fingerprint(threads)?;
    let hex: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{NUMERICS_CLASS} {} {threads} {hex}", Isa::current().name());
    Ok(())
}
