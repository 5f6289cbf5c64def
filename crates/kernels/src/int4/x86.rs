//! Tiles of the products with numbers of 4 bits for x86-64. A tile holds R rows by P panels of sums in registers; a group's sums stay
//! within 16 bits, so one instruction multiplies them with the factor and adds.

use super::{GROUP, GROUP_LINES, LEAST_NUMBER};
use crate::int8::x86::{four, store_eight, walk};
use crate::int8::{IntegerSet, Job, PANEL, STEP};
use std::arch::x86_64::*;

/// A product whose shapes were checked, with the weights as numbers of 4 bits.
pub(super) struct Grouped<'a> {
    pub job: &'a Job,
    pub groups: usize,
    /// `[panels, G, 4, 64]`
    pub lines: *const u8,
    /// `[panels, G, 16]`
    pub factors: *const i8,
    /// `[rows, G]`
    pub pairs: *const [i16; 2],
    /// `[rows, 32 G]`
    pub signed: *const i8,
}

// SAFETY: as for the job; what is more is only read.
unsafe impl Sync for Grouped<'_> {}

impl Grouped<'_> {
    /// Multiplies the panels of the range.
    ///
    /// # Safety
    /// Every row of the job and panel of the range must exist.
    pub unsafe fn panels(&self, start: usize, end: usize) {
        // SAFETY: the caller's; the variants of the set exist only after their features were detected.
        unsafe {
            match self.job.set {
                IntegerSet::Portable => unreachable!("codes of 8 bits serve it"),
                IntegerSet::Avx2(_) => avx2_panels(self, start, end),
                IntegerSet::AvxVnni(_) => avx_vnni_panels(self, start, end),
                IntegerSet::Avx512Vnni(_) => avx512_panels(self, start, end),
            }
        }
    }

    fn rows(&self) -> usize {
        self.job.rows
    }

    /// The lines of a group of a panel.
    ///
    /// # Safety
    /// The panel and the group must exist.
    #[inline(always)]
    unsafe fn group(&self, panel: usize, group: usize) -> *const u8 {
        // SAFETY: the caller's.
        unsafe {
            self.lines
                .add((panel * self.groups + group) * GROUP_LINES * PANEL * STEP)
        }
    }

    /// The factors of a group of a panel.
    ///
    /// # Safety
    /// The panel and the group must exist.
    #[inline(always)]
    unsafe fn factors(&self, panel: usize, group: usize) -> *const i8 {
        // SAFETY: the caller's.
        unsafe { self.factors.add((panel * self.groups + group) * PANEL) }
    }

    /// Four codes of a row as signed numbers.
    ///
    /// # Safety
    /// The row and the step must exist.
    #[inline(always)]
    unsafe fn signed(&self, row: usize, group: usize, step: usize) -> i32 {
        // SAFETY: the caller's; rows reach to the end of their last group.
        unsafe {
            let codes = self.signed.add((row * self.groups + group) * GROUP);
            four(codes.add(step * STEP).cast())
        }
    }

    /// The sums of a group of a row, of the inputs 0 and 1 of four and of 2 and 3.
    ///
    /// # Safety
    /// The row and the group must exist.
    #[inline(always)]
    unsafe fn pair(&self, row: usize, group: usize) -> [i16; 2] {
        // SAFETY: the caller's.
        unsafe { *self.pairs.add(row * self.groups + group) }
    }
}

walk!(avx512_panels(Grouped<'_>), avx512_tile, "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma",
    rows 8: [1, 2, 3, 4, 5, 6, 7, 8] by 2 panels, one row by 8);
walk!(avx_vnni_panels(Grouped<'_>), avx_vnni_tile, "avxvnni,avx2", rows 4: [1, 2, 3, 4] by 1 panels, one row by 4);
walk!(avx2_panels(Grouped<'_>), avx2_tile, "avx2", rows 4: [1, 2, 3, 4] by 1 panels, one row by 3);

/// # Safety
/// The processor must have the features, and the rows and panels must exist.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma")]
unsafe fn avx512_tile<const R: usize, const P: usize>(
    grouped: &Grouped<'_>,
    row: usize,
    panel: usize,
) {
    let job = grouped.job;
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); P]; R];
        let (low, low_half) = (_mm512_set1_epi8(0x0f), _mm512_set1_epi32(0xffff));
        for group in 0..grouped.groups {
            let mut starts = [_mm512_setzero_si512(); R];
            for r in 0..R {
                let [even, odd] = grouped.pair(row + r, group);
                let sum = i32::from(even) + i32::from(odd);
                starts[r] = _mm512_set1_epi32(i32::from(LEAST_NUMBER) * sum);
            }
            for p in 0..P {
                let lines = grouped.group(panel + p, group);
                let mut of_group = starts;
                for line in 0..GROUP_LINES {
                    let both = _mm512_load_si512(lines.add(line * PANEL * STEP).cast());
                    let first = _mm512_and_si512(both, low);
                    let second = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                    for r in 0..R {
                        let x = _mm512_set1_epi32(grouped.signed(row + r, group, 2 * line));
                        of_group[r] = _mm512_dpbusd_epi32(of_group[r], first, x);
                        let x = _mm512_set1_epi32(grouped.signed(row + r, group, 2 * line + 1));
                        of_group[r] = _mm512_dpbusd_epi32(of_group[r], second, x);
                    }
                }
                let factors = _mm_loadu_si128(grouped.factors(panel + p, group).cast());
                let factors = _mm512_and_si512(_mm512_cvtepi8_epi32(factors), low_half);
                for r in 0..R {
                    sums[r][p] = _mm512_dpwssd_epi32(sums[r][p], of_group[r], factors);
                }
            }
        }
        for p in 0..P {
            let scales = _mm512_loadu_ps(job.column_scales.add((panel + p) * PANEL));
            let mask = (u32::MAX >> (32 - job.columns(panel + p))) as u16;
            for r in 0..R {
                let scale = _mm512_set1_ps(*job.row_scales.add(row + r));
                let values = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][p]), scale);
                let y = job.y.add((row + r) * job.outputs + (panel + p) * PANEL);
                _mm512_mask_storeu_ps(y, mask, _mm512_mul_ps(values, scales));
            }
        }
    }
}

/// # Safety
/// The processor must have the features, and the rows and panels must exist.
#[target_feature(enable = "avxvnni,avx2")]
unsafe fn avx_vnni_tile<const R: usize, const P: usize>(
    grouped: &Grouped<'_>,
    row: usize,
    panel: usize,
) {
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut sums = [[[_mm256_setzero_si256(); 2]; P]; R];
        let (low, low_half) = (_mm256_set1_epi8(0x0f), _mm256_set1_epi32(0xffff));
        for group in 0..grouped.groups {
            let mut starts = [_mm256_setzero_si256(); R];
            for r in 0..R {
                let [even, odd] = grouped.pair(row + r, group);
                let sum = i32::from(even) + i32::from(odd);
                starts[r] = _mm256_set1_epi32(i32::from(LEAST_NUMBER) * sum);
            }
            for p in 0..P {
                for half in 0..2 {
                    let lines = grouped.group(panel + p, group).add(32 * half);
                    let mut of_group = starts;
                    for line in 0..GROUP_LINES {
                        let both = _mm256_load_si256(lines.add(line * PANEL * STEP).cast());
                        let first = _mm256_and_si256(both, low);
                        let second = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
                        for r in 0..R {
                            let x = _mm256_set1_epi32(grouped.signed(row + r, group, 2 * line));
                            of_group[r] = _mm256_dpbusd_avx_epi32(of_group[r], first, x);
                            let x = _mm256_set1_epi32(grouped.signed(row + r, group, 2 * line + 1));
                            of_group[r] = _mm256_dpbusd_avx_epi32(of_group[r], second, x);
                        }
                    }
                    let factors = grouped.factors(panel + p, group).add(8 * half);
                    let factors = _mm256_cvtepi8_epi32(_mm_loadl_epi64(factors.cast()));
                    let factors = _mm256_and_si256(factors, low_half);
                    for r in 0..R {
                        sums[r][p][half] =
                            _mm256_dpwssd_avx_epi32(sums[r][p][half], of_group[r], factors);
                    }
                }
            }
        }
        store(grouped.job, &sums, row, panel);
    }
}

/// Numbers up to 15 times codes up to 127: sixteen such products, less eight times sixteen codes, fit 16 bits.
///
/// # Safety
/// The processor must have AVX2, and the rows and panels must exist.
#[target_feature(enable = "avx2")]
unsafe fn avx2_tile<const R: usize, const P: usize>(
    grouped: &Grouped<'_>,
    row: usize,
    panel: usize,
) {
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut sums = [[[_mm256_setzero_si256(); 2]; P]; R];
        let low = _mm256_set1_epi8(0x0f);
        for group in 0..grouped.groups {
            let mut starts = [_mm256_setzero_si256(); R];
            for r in 0..R {
                let [even, odd] = grouped.pair(row + r, group);
                let [even, odd] = [even, odd].map(|sum| (sum * i16::from(LEAST_NUMBER)) as u16);
                starts[r] = _mm256_set1_epi32((u32::from(even) | u32::from(odd) << 16) as i32);
            }
            for p in 0..P {
                for half in 0..2 {
                    let lines = grouped.group(panel + p, group).add(32 * half);
                    let mut of_group = starts;
                    for line in 0..GROUP_LINES {
                        let both = _mm256_load_si256(lines.add(line * PANEL * STEP).cast());
                        let first = _mm256_and_si256(both, low);
                        let second = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
                        for r in 0..R {
                            let x = _mm256_set1_epi32(grouped.signed(row + r, group, 2 * line));
                            let products = _mm256_maddubs_epi16(first, x);
                            of_group[r] = _mm256_add_epi16(of_group[r], products);
                            let x = _mm256_set1_epi32(grouped.signed(row + r, group, 2 * line + 1));
                            let products = _mm256_maddubs_epi16(second, x);
                            of_group[r] = _mm256_add_epi16(of_group[r], products);
                        }
                    }
                    let factors = grouped.factors(panel + p, group).add(8 * half);
                    let factors = _mm256_cvtepi8_epi32(_mm_loadl_epi64(factors.cast()));
                    let above = _mm256_slli_epi32::<16>(factors);
                    let factors = _mm256_blend_epi16::<0b1010_1010>(factors, above);
                    for r in 0..R {
                        let weighted = _mm256_madd_epi16(of_group[r], factors);
                        sums[r][p][half] = _mm256_add_epi32(sums[r][p][half], weighted);
                    }
                }
            }
        }
        store(grouped.job, &sums, row, panel);
    }
}

/// Scales the sums of a tile and writes the columns that exist.
///
/// # Safety
/// The processor must have AVX2, and the rows and panels must exist.
#[target_feature(enable = "avx2")]
unsafe fn store<const R: usize, const P: usize>(
    job: &Job,
    sums: &[[[__m256i; 2]; P]; R],
    row: usize,
    panel: usize,
) {
    for p in 0..P {
        for half in 0..2 {
            let column = (panel + p) * PANEL + 8 * half;
            for r in 0..R {
                if column < job.outputs {
                    // SAFETY: the caller's; the column exists.
                    unsafe { store_eight(job, sums[r][p][half], row + r, column) };
                }
            }
        }
    }
}
