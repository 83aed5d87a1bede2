//! Cards, and what training on them needs: driver, run-time compiler, headers.

use super::Finding;
#[cfg(not(feature = "cuda"))]
use std::path::Path;

/// Present where NVIDIA's driver is loaded.
#[cfg(not(feature = "cuda"))]
const DRIVER: &str = "/proc/driver/nvidia/version";

#[cfg(not(feature = "cuda"))]
pub(super) fn findings() -> Vec<Finding> {
    vec![without(Path::new(DRIVER).exists())]
}

/// What an executable without CUDA says of a machine with or without NVIDIA's driver.
#[cfg(not(feature = "cuda"))]
fn without(driver: bool) -> Finding {
    let found = "not built in: this executable trains on the processor";
    match driver {
        true => Finding::note("CUDA", format!("{found}, and this machine has a card"))
            .advise("build it with `--features cuda` to look at the card (docs/gpu.md)"),
        false => Finding::good("CUDA", found),
    }
}

#[cfg(feature = "cuda")]
pub(super) fn findings() -> Vec<Finding> {
    use archipel_trainer::cuda::{cards, compiler_fits, driver_version, headers, nvrtc_version};
    let driver = driver_version();
    let mut findings = vec![version("driver", "up to CUDA", &driver)];
    let compiler = nvrtc_version();
    findings.push(match (&driver, &compiler) {
        (Ok(driver), Ok(compiler)) => match compiler_fits(*compiler, *driver) {
            Ok(()) => version("compiler", "libnvrtc of CUDA", &Ok(*compiler)),
            Err(error) => version("compiler", "", &Err(error)),
        },
        _ => version("compiler", "libnvrtc of CUDA", &compiler),
    });
    findings.push(match headers() {
        Ok(folder) => Finding::good("headers", folder.display().to_string()),
        Err(error) => Finding::refused(super::Verdict::Note, "headers", &error),
    });
    match cards() {
        // Said of the driver above.
        Err(_) if driver.is_err() => {}
        Err(error) => findings.push(Finding::refused(super::Verdict::Note, "cards", &error)),
        Ok(cards) => findings.extend(cards.iter().map(card)),
    }
    findings
}

#[cfg(feature = "cuda")]
fn version(
    what: &'static str,
    found: &str,
    version: &Result<(u32, u32), archipel_trainer::cuda::CudaError>,
) -> Finding {
    match version {
        Ok((major, minor)) => Finding::good(what, format!("{found} {major}.{minor}")),
        Err(error) => Finding::refused(super::Verdict::Note, what, error),
    }
}

#[cfg(feature = "cuda")]
fn card(card: &archipel_trainer::cuda::Card) -> Finding {
    use crate::cli::bytes;
    let found = format!(
        "number {}: {}, compute capability {}.{}, {} free of {}",
        card.number,
        card.name,
        card.capability.0,
        card.capability.1,
        bytes(card.free_bytes),
        bytes(card.total_bytes)
    );
    match card.is_able() {
        true => Finding::good("card", found),
        false => Finding::note("card", found).advise(
            "its tensor cores do not multiply bf16: train on one of capability 8.0 or more",
        ),
    }
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_executable_without_cuda_says_so() {
        let plain = without(false);
        assert_eq!((plain.verdict, plain.advice), (Verdict::Good, None));
        let card = without(true);
        assert_eq!(card.verdict, Verdict::Note);
        assert!(card.advice.expect("advice").contains("--features cuda"));
    }
}
