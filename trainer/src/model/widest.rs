//! Compiles a function for the widest vectors the machine has, with the same bits on all of them.
//!
//! The body is ordinary code over fixed blocks of sixteen lanes, and never fuses a product with a
//! sum: how many lanes an instruction covers changes its speed alone.

/// Defines `fn $name(…)`, compiled for AVX-512, AVX2 and the target's baseline, chosen at run time.
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
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            fn wide($($arg: $kind),*) $(-> $result)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn middle($($arg: $kind),*) $(-> $result)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            {
                let wide_enough = std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq");
                if wide_enough {
                    // SAFETY: the machine has just said that it has these instructions.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has just said that it has these instructions.
                    #[allow(unsafe_code)]
                    return unsafe { middle($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

pub(crate) use widest;
