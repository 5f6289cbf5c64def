//! Which instructions the processor has, and how a kernel is compiled for each of them.
//!
//! A kernel is written once as a generic body over [`Arithmetic`]; the macro `dispatch!` compiles
//! it for every instruction set and picks one at run time. Bodies work on arrays of [`LANES`]
//! floats, which the compiler turns into vector registers.

use std::sync::OnceLock;

/// Floats that a kernel's body handles at once: one AVX-512 register, two AVX2 registers.
pub(crate) const LANES: usize = 16;

/// How a body multiplies and adds: fused where the instructions exist, in two steps elsewhere.
pub(crate) trait Arithmetic {
    /// Floats of a register, for bodies that must know how many sums stay in registers.
    const LANES: usize;

    /// `a * b + c`
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding; only compiled into functions that have FMA.
pub(crate) struct Fused;

/// [`Fused`] with the registers of AVX-512.
pub(crate) struct FusedWide;

/// Two roundings; without FMA instructions `f32::mul_add` would be a call into the C library.
pub(crate) struct TwoSteps;

impl Arithmetic for Fused {
    const LANES: usize = 8;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Arithmetic for FusedWide {
    const LANES: usize = 16;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Arithmetic for TwoSteps {
    const LANES: usize = 4;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Proof that the processor has what the variant that holds it says: only detection makes one.
#[derive(Clone, Copy)]
pub(crate) struct Proof(());

impl Proof {
    /// For code that has just detected the features.
    pub(crate) fn new() -> Self {
        Self(())
    }
}

/// How far the processor's instructions may be used: for measurements of what older processors would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// None beyond what every processor of the target has.
    Portable,
    /// AVX2 and FMA at most.
    Avx2,
    /// Whatever there is.
    Best,
}

static LIMIT: OnceLock<Limit> = OnceLock::new();

/// Limits the instructions of every kernel of this process. True when the limit is in force; false when another one was set or a
/// kernel has run before. Products of large `f32` matrices come from the crate `gemm` and are not limited.
pub fn limit_instructions(limit: Limit) -> bool {
    *LIMIT.get_or_init(|| limit) == limit
}

/// The limit in force; from now on it stays.
pub(crate) fn limit() -> Limit {
    *LIMIT.get_or_init(|| Limit::Best)
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy)]
pub(crate) enum InstructionSet {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
    /// AVX-512 with F, VL, BW and DQ.
    #[cfg(target_arch = "x86_64")]
    Avx512(Proof),
}

impl InstructionSet {
    /// The best set of this processor; detected once.
    pub(crate) fn get() -> Self {
        static FOUND: OnceLock<InstructionSet> = OnceLock::new();
        *FOUND.get_or_init(Self::detect)
    }

    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = limit() >= Limit::Avx2
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma");
            let avx512 = limit() >= Limit::Best
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq");
            if avx2 && avx512 {
                return Self::Avx512(Proof(()));
            }
            if avx2 {
                return Self::Avx2(Proof(()));
            }
        }
        Self::Portable
    }
}

/// The name of the instruction set in use, for reports.
pub fn instruction_set() -> &'static str {
    match InstructionSet::get() {
        InstructionSet::Portable => "portable",
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2(_) => "avx2",
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512(_) => "avx512",
    }
}

/// Defines a public function that runs a generic body on the processor's best instruction set.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::simd::Fused>($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::simd::FusedWide>($($arg),*)
                }
                match $crate::simd::InstructionSet::get() {
                    $crate::simd::InstructionSet::Avx512(_) => {
                        // SAFETY: the variant exists only after its features were detected.
                        return unsafe { avx512($($arg),*) };
                    }
                    $crate::simd::InstructionSet::Avx2(_) => {
                        // SAFETY: the variant exists only after its features were detected.
                        return unsafe { avx2($($arg),*) };
                    }
                    $crate::simd::InstructionSet::Portable => {}
                }
            }
            $body::<$crate::simd::TwoSteps>($($arg),*)
        }
    };
}
pub(crate) use dispatch;

/// Sum of the lanes as a tree, so that it stays in registers.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: &[f32; LANES]) -> f32 {
    let mut eight = [0.0f32; 8];
    for i in 0..8 {
        eight[i] = lanes[i] + lanes[i + 8];
    }
    let mut four = [0.0f32; 4];
    for i in 0..4 {
        four[i] = eight[i] + eight[i + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
pub(crate) mod tests {
    /// Deterministic values in -1..1 for tests (SplitMix64).
    pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// Largest difference over the largest magnitude of the expected values.
    pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(1e-20f32, |m, x| m.max(x.abs()));
        let worst = found.iter().zip(expected).fold(0.0f32, |m, (a, b)| {
            if a.is_nan() || b.is_nan() {
                f32::INFINITY
            } else {
                m.max((a - b).abs())
            }
        });
        worst / scale
    }

    #[test]
    fn lanes_are_summed() {
        let lanes: [f32; 16] = std::array::from_fn(|i| i as f32);
        assert_eq!(super::sum_lanes(&lanes), 120.0);
    }

    #[test]
    fn an_instruction_set_has_a_name() {
        assert!(["portable", "avx2", "avx512"].contains(&super::instruction_set()));
    }
}
