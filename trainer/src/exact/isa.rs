//! Which vector instructions the kernels use: it changes their speed and never their bits.
//!
//! The body of a kernel is ordinary code over fixed blocks of lanes with explicit fused products,
//! compiled once for each instruction set. The choice is one of the process, so that a proof can
//! run the same training on each of them.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// The target's baseline: one number at a time, where it has no wider ones.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, BW and DQ.
    Avx512,
}

/// An instruction set that this machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine has no {}, its widest is {}: choose that or a narrower one",
    asked.name(), widest.name())]
pub struct MissingIsa {
    /// What was asked for.
    pub asked: Isa,
    /// The widest there is.
    pub widest: Isa,
}

/// 0 while nobody asked; then 1 + the instruction set.
static CHOICE: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The widest that this machine has.
    pub fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = has!("avx512f") && has!("avx512vl") && has!("avx512bw");
            if avx2 && avx512 && has!("avx512dq") {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }

    /// The one in use.
    pub fn current() -> Self {
        match CHOICE.load(Relaxed) {
            0 => {
                let widest = Self::widest();
                CHOICE.store(1 + widest as u8, Relaxed);
                widest
            }
            1 => Self::Scalar,
            2 => Self::Avx2,
            _ => Self::Avx512,
        }
    }

    /// Makes every kernel of this process use these instructions.
    ///
    /// # Errors
    /// Where the machine does not have them.
    pub fn choose(self) -> Result<(), MissingIsa> {
        let widest = Self::widest();
        if self > widest {
            return Err(MissingIsa {
                asked: self,
                widest,
            });
        }
        CHOICE.store(1 + self as u8, Relaxed);
        Ok(())
    }
}

/// a · b + c, rounded once.
#[inline(always)]
#[allow(clippy::disallowed_methods)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

/// Asks for the line of memory that holds `values[at]`, where there is such a value.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address that is valid.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

/// Defines `fn $name(…)`, compiled for every instruction set and chosen by [`Isa::current`].
macro_rules! widest {
    (
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn $name($($arg: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn body($($arg: $kind),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn wide($($arg: $kind),*) $(-> $result)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn middle($($arg: $kind),*) $(-> $result)? { body($($arg),*) }

            match $crate::exact::isa::Isa::current() {
                // SAFETY: a choice is made only of instructions that the machine said it has.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                $crate::exact::isa::Isa::Avx512 => unsafe { wide($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                $crate::exact::isa::Isa::Avx2 => unsafe { middle($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}

pub(crate) use widest;
