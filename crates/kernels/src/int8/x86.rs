//! Tiles of the products of codes for x86-64. A tile holds R rows by P panels of sums in registers.

use super::{IntegerSet, Job, PANEL, PLANE_BITS, Proof, STEP};
use crate::simd::{Limit, limit};
use std::arch::x86_64::*;

/// Sets of this processor, the best one last.
pub(super) fn available() -> Vec<IntegerSet> {
    let mut sets = vec![IntegerSet::Portable];
    let limit = limit();
    if limit >= Limit::Avx2 && is_x86_feature_detected!("avx2") {
        sets.push(IntegerSet::Avx2(Proof::new()));
        if limit >= Limit::Best && is_x86_feature_detected!("avxvnni") {
            sets.push(IntegerSet::AvxVnni(Proof::new()));
        }
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni");
        if limit >= Limit::Best && avx512 {
            sets.push(IntegerSet::Avx512Vnni(Proof::new()));
        }
    }
    sets
}

/// The walk over rows and panels of a job, which says how many rows it has: whole tiles first, then what is left.
macro_rules! walk {
    ($name:ident($job:ty), $tile:ident, $features:literal, rows $most:literal: [$($rows:literal),*] by $together:literal panels, one row by $single:literal) => {
        /// # Safety
        /// The processor must have the features, and every row of the job and panel of the range must exist.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(job: &$job, start: usize, end: usize) {
            let mut panel = start;
            let all = job.rows();
            if all == 1 {
                while end - panel >= $single {
                    // SAFETY: the caller's; the panels exist.
                    unsafe { $tile::<1, $single>(job, 0, panel) };
                    panel += $single;
                }
            }
            while panel < end {
                let wide = end - panel >= $together;
                let mut row = 0;
                while row < all {
                    let rows = $most.min(all - row);
                    // SAFETY: the caller's; rows and panels exist.
                    unsafe {
                        match (rows, wide) {
                            $(
                                ($rows, true) => $tile::<$rows, $together>(job, row, panel),
                                ($rows, false) => $tile::<$rows, 1>(job, row, panel),
                            )*
                            _ => unreachable!("a tile has 1 to {} rows", $most),
                        }
                    }
                    row += rows;
                }
                panel += if wide { $together } else { 1 };
            }
        }
    };
}

pub(crate) use walk;

walk!(avx512_panels(Job), avx512_tile, "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma",
    rows 6: [1, 2, 3, 4, 5, 6] by 4 panels, one row by 8);
walk!(avx_vnni_panels(Job), avx_vnni_tile, "avxvnni,avx2",
    rows 5: [1, 2, 3, 4, 5] by 1 panels, one row by 4);
walk!(avx2_panels(Job), avx2_tile, "avx2", rows 4: [1, 2, 3, 4] by 1 panels, one row by 3);

/// Four codes of a row as one number.
///
/// # Safety
/// The codes must exist.
#[inline(always)]
pub(crate) unsafe fn four(codes: *const u8) -> i32 {
    // SAFETY: the caller's; unaligned reads are allowed.
    unsafe { codes.cast::<i32>().read_unaligned() }
}

/// # Safety
/// The processor must have the features, and the rows and panels must exist.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma")]
unsafe fn avx512_tile<const R: usize, const P: usize>(job: &Job, row: usize, panel: usize) {
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut codes = [std::ptr::null(); R];
        for r in 0..R {
            codes[r] = job.row(row + r);
        }
        let mut lines = [std::ptr::null(); P];
        let mut sums = [[_mm512_setzero_si512(); P]; R];
        for p in 0..P {
            lines[p] = job.panel(panel + p);
        }
        for plane in 0..job.planes {
            for p in 0..P {
                let start = _mm512_loadu_si512(job.starts.add((panel + p) * PANEL).cast());
                for r in 0..R {
                    let above = _mm512_slli_epi32::<PLANE_BITS>(sums[r][p]);
                    sums[r][p] = _mm512_add_epi32(above, start);
                }
            }
            for step in 0..job.steps {
                let mut weights = [_mm512_setzero_si512(); P];
                for p in 0..P {
                    weights[p] = _mm512_load_si512(lines[p].add(step * PANEL * STEP).cast());
                }
                for r in 0..R {
                    let at = plane * job.stride + step * STEP;
                    let x = _mm512_set1_epi32(four(codes[r].add(at)));
                    for p in 0..P {
                        sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], x, weights[p]);
                    }
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

/// Scales the sums of eight columns and writes those that exist.
///
/// # Safety
/// The processor must have AVX2; the row and the first column must exist.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn store_eight(job: &Job, sums: __m256i, row: usize, column: usize) {
    // SAFETY: the row and the column exist; scales reach to the end of the panel.
    unsafe {
        let scale = _mm256_set1_ps(*job.row_scales.add(row));
        let scales = _mm256_loadu_ps(job.column_scales.add(column));
        let values = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale), scales);
        let left = job.outputs - column;
        let y = job.y.add(row * job.outputs + column);
        if left >= 8 {
            _mm256_storeu_ps(y, values);
        } else {
            let mut buffer = [0.0f32; 8];
            _mm256_storeu_ps(buffer.as_mut_ptr(), values);
            std::ptr::copy_nonoverlapping(buffer.as_ptr(), y, left);
        }
    }
}

/// # Safety
/// The processor must have the features, and the rows and panels must exist.
#[target_feature(enable = "avxvnni,avx2")]
unsafe fn avx_vnni_tile<const R: usize, const P: usize>(job: &Job, row: usize, panel: usize) {
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut codes = [std::ptr::null(); R];
        for r in 0..R {
            codes[r] = job.row(row + r);
        }
        let mut lines = [std::ptr::null::<i8>(); P];
        let mut sums = [[[_mm256_setzero_si256(); 2]; P]; R];
        for p in 0..P {
            lines[p] = job.panel(panel + p);
        }
        for plane in 0..job.planes {
            for p in 0..P {
                for half in 0..2 {
                    let starts = job.starts.add((panel + p) * PANEL + 8 * half);
                    let start = _mm256_loadu_si256(starts.cast());
                    for r in 0..R {
                        let above = _mm256_slli_epi32::<{ PLANE_BITS as i32 }>(sums[r][p][half]);
                        sums[r][p][half] = _mm256_add_epi32(above, start);
                    }
                }
            }
            for step in 0..job.steps {
                let mut x = [_mm256_setzero_si256(); R];
                for r in 0..R {
                    let at = plane * job.stride + step * STEP;
                    x[r] = _mm256_set1_epi32(four(codes[r].add(at)));
                }
                for p in 0..P {
                    for half in 0..2 {
                        let line = lines[p].add(step * PANEL * STEP + 32 * half);
                        let weights = _mm256_load_si256(line.cast());
                        for r in 0..R {
                            sums[r][p][half] =
                                _mm256_dpbusd_avx_epi32(sums[r][p][half], x[r], weights);
                        }
                    }
                }
            }
        }
        for p in 0..P {
            for half in 0..2 {
                let column = (panel + p) * PANEL + 8 * half;
                for r in 0..R {
                    if column < job.outputs {
                        store_eight(job, sums[r][p][half], row + r, column);
                    }
                }
            }
        }
    }
}

/// Without VNNI the magnitudes of activations (at most 128) are multiplied with weights that took their signs: two products of at
/// most 128 * 127 fit 16 bits, so nothing saturates.
///
/// # Safety
/// The processor must have AVX2, and the rows and panels must exist.
#[target_feature(enable = "avx2")]
unsafe fn avx2_tile<const R: usize, const P: usize>(job: &Job, row: usize, panel: usize) {
    // SAFETY: rows and panels exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let mut codes = [std::ptr::null(); R];
        for r in 0..R {
            codes[r] = job.row(row + r);
        }
        let mut lines = [std::ptr::null::<i8>(); P];
        for p in 0..P {
            lines[p] = job.panel(panel + p);
        }
        let mut sums = [[[_mm256_setzero_si256(); 2]; P]; R];
        let (ones, bias) = (_mm256_set1_epi16(1), _mm256_set1_epi8(i8::MIN));
        for plane in 0..job.planes {
            for sum in sums.as_flattened_mut().as_flattened_mut() {
                *sum = _mm256_slli_epi32::<{ PLANE_BITS as i32 }>(*sum);
            }
            for step in 0..job.steps {
                let mut signed = [_mm256_setzero_si256(); R];
                let mut magnitudes = [_mm256_setzero_si256(); R];
                for r in 0..R {
                    let x = _mm256_set1_epi32(four(codes[r].add(plane * job.stride + step * STEP)));
                    signed[r] = _mm256_xor_si256(x, bias);
                    magnitudes[r] = _mm256_abs_epi8(signed[r]);
                }
                for p in 0..P {
                    for half in 0..2 {
                        let line = lines[p].add(step * PANEL * STEP + 32 * half);
                        let weights = _mm256_load_si256(line.cast());
                        for r in 0..R {
                            let turned = _mm256_sign_epi8(weights, signed[r]);
                            let pairs = _mm256_maddubs_epi16(magnitudes[r], turned);
                            let fours = _mm256_madd_epi16(pairs, ones);
                            sums[r][p][half] = _mm256_add_epi32(sums[r][p][half], fours);
                        }
                    }
                }
            }
        }
        for p in 0..P {
            for half in 0..2 {
                let column = (panel + p) * PANEL + 8 * half;
                for r in 0..R {
                    if column < job.outputs {
                        store_eight(job, sums[r][p][half], row + r, column);
                    }
                }
            }
        }
    }
}
