//! Tiles of the products of codes for AArch64, where every processor has NEON.

use super::{BIAS, IntegerSet, Job, PANEL, PLANE_BITS, Proof, STEP};
use crate::simd::{Limit, limit};
use std::arch::aarch64::*;

/// Sets of this processor, the best one last.
pub(super) fn available() -> Vec<IntegerSet> {
    let mut sets = vec![IntegerSet::Portable];
    if limit() > Limit::Portable && std::arch::is_aarch64_feature_detected!("neon") {
        sets.push(IntegerSet::Neon(Proof::new()));
    }
    sets
}

/// # Safety
/// The processor must have NEON, and every row of the job and panel of the range must exist.
#[target_feature(enable = "neon")]
pub(super) unsafe fn panels(job: &Job, start: usize, end: usize) {
    for panel in start..end {
        let mut row = 0;
        while row < job.rows {
            // SAFETY: the caller's; rows and panels exist.
            unsafe {
                if job.rows - row >= 2 {
                    tile::<2>(job, row, panel);
                    row += 2;
                } else {
                    tile::<1>(job, row, panel);
                    row += 1;
                }
            }
        }
    }
}

/// # Safety
/// The processor must have NEON, and the rows and the panel must exist.
#[target_feature(enable = "neon")]
unsafe fn tile<const R: usize>(job: &Job, row: usize, panel: usize) {
    const VECTORS: usize = PANEL / 4;
    // SAFETY: rows and the panel exist, so do the elements of them that are read and the columns that are written.
    unsafe {
        let lines = job.panel(panel);
        // A product of two codes fits 16 bits; pairs of them are added into 32: two sums for each column.
        let mut sums = [[[vdupq_n_s32(0); 2]; VECTORS]; R];
        let bias = vdup_n_u8(BIAS as u8);
        for plane in 0..job.planes {
            for sum in sums.as_flattened_mut().as_flattened_mut() {
                *sum = vshlq_n_s32::<{ PLANE_BITS as i32 }>(*sum);
            }
            for step in 0..job.steps {
                for r in 0..R {
                    let four = job
                        .row(row + r)
                        .add(plane * job.stride + step * STEP)
                        .cast::<u32>();
                    let biased = vreinterpret_u8_u32(vdup_n_u32(four.read_unaligned()));
                    let x = vreinterpret_s8_u8(veor_u8(biased, bias));
                    for v in 0..VECTORS {
                        let weights = vld1q_s8(lines.add(step * PANEL * STEP + 16 * v));
                        let low = vmull_s8(vget_low_s8(weights), x);
                        let high = vmull_s8(vget_high_s8(weights), x);
                        sums[r][v][0] = vpadalq_s16(sums[r][v][0], low);
                        sums[r][v][1] = vpadalq_s16(sums[r][v][1], high);
                    }
                }
            }
        }
        for r in 0..R {
            let scale = *job.row_scales.add(row + r);
            let mut values = [0.0f32; PANEL];
            for v in 0..VECTORS {
                let columns = vpaddq_s32(sums[r][v][0], sums[r][v][1]);
                let scales = vld1q_f32(job.column_scales.add(panel * PANEL + 4 * v));
                let scaled = vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(columns), scale), scales);
                vst1q_f32(values.as_mut_ptr().add(4 * v), scaled);
            }
            let y = job.y.add((row + r) * job.outputs + panel * PANEL);
            std::ptr::copy_nonoverlapping(values.as_ptr(), y, job.columns(panel));
        }
    }
}
