//! Numeric kernels on `f32` slices for inference on a CPU: the only crate that contains `unsafe`.
//!
//! Called by `engine`. It must not know about models, tokens or files: it sees slices and shapes.
//! Every kernel has a plain reference beside it and a test that compares the two. Kernels compile
//! for the portable baseline, AVX2 with FMA, and AVX-512; the processor decides at run time.
//!
//! Matrices are row-major. Shapes come from callers that have checked their input, so a shape that
//! does not fit is a broken invariant and panics with both shapes.

mod attention;
mod codes;
mod conv;
mod delta;
mod exp;
mod gemv;
mod int4;
mod int8;
mod matrix;
mod norm;
mod panels;
mod simd;
mod softmax;

pub use attention::{AttentionScratch, KeyValues};
pub use codes::dot_code_rows;
pub use conv::causal_conv;
pub use delta::{DeltaInputs, delta_steps};
pub use exp::{exp_in_place, sigmoid, silu_in_place, softplus, swiglu};
pub use gemv::{add_scaled, dot, dot_rows, gemv};
pub use int4::{GROUP, Int4Panels, LARGEST_FACTOR, LARGEST_NUMBER, LEAST_NUMBER, matmul_int4};
pub use int8::{
    CodeRows, Int8Panels, MAX_INT8_INPUTS, MAX_WIDE_INPUTS, integer_instruction_set, matmul_int8,
};
pub use matrix::{MatMut, MatRef, Update, matmul};
pub use norm::{add_in_place, l2_norm, rms_norm};
pub use panels::{Panels, matmul_panels};
pub use simd::{Limit, instruction_set, limit_instructions};
pub use softmax::{SoftmaxSummary, argmax, log_sum_exp, softmax_in_place};

/// The slow, obvious forms that the tests of this crate and of its users compare with.
pub mod reference {
    pub use crate::attention::attend_reference as attend;
    pub use crate::codes::dot_code_rows_reference as dot_code_rows;
    pub use crate::conv::causal_conv_reference as causal_conv;
    pub use crate::delta::delta_step_reference as delta_step;
    pub use crate::exp::silu_reference as silu;
    pub use crate::gemv::gemv_reference as gemv;
    pub use crate::int8::matmul_int8_reference as matmul_int8;
    pub use crate::matrix::matmul_reference as matmul;
    pub use crate::norm::{l2_norm_reference as l2_norm, rms_norm_reference as rms_norm};
    pub use crate::panels::matmul_panels_reference as matmul_panels;
    pub use crate::softmax::softmax_reference as softmax;
}
