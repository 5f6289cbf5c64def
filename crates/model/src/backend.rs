//! The back ends that a network runs on, and how a fused host operation joins autodiff.
//!
//! The back end's type is hidden behind the aliases below; [`NestorBackend`] is what the rest of
//! the crate is generic over.

use burn::backend::Autodiff;
use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData, TensorPrimitive, backend::Backend};
use std::fmt::Debug;

/// The CPU back end.
pub type Cpu = burn_flex::Flex;
/// The CPU back end with gradients.
pub type TrainCpu = Autodiff<Cpu>;
/// The CUDA back end.
#[cfg(feature = "cuda")]
pub type Cuda = burn_cuda::Cuda<f32, i32>;
/// The CUDA back end with gradients.
#[cfg(feature = "cuda")]
pub type TrainCuda = Autodiff<Cuda>;

/// The back end of other makers' cards: Vulkan, Metal, DirectX.
#[cfg(feature = "wgpu")]
pub type Wgpu = burn_wgpu::Wgpu<f32, i32>;
/// [`Wgpu`] with gradients.
#[cfg(feature = "wgpu")]
pub type TrainWgpu = Autodiff<Wgpu>;

/// An operation computed on the host over plain slices, with a hand-written backward.
///
/// Shapes are part of the operation's value; inputs and outputs are dense and row-major.
pub trait HostOp<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// What the forward pass keeps for the backward pass beside the inputs.
    type Saved: Clone + Debug + Send + Sync + 'static;

    /// Shape of the output.
    fn output_shape(&self) -> Vec<usize>;

    /// The output, and what the backward pass needs. `tracked` is false when no gradient is wanted.
    fn forward(&self, inputs: [&[f32]; N], tracked: bool) -> (Vec<f32>, Self::Saved);

    /// The gradient of every input, from the gradient of the output.
    fn backward(&self, inputs: [&[f32]; N], saved: &Self::Saved, grad: &[f32]) -> [Vec<f32>; N];
}

/// An operation computed on the device by tensor operations, with a hand-written backward.
pub trait DeviceOp<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The output, and what the backward pass needs beside the inputs. `tracked` is false when no gradient
    /// is wanted.
    fn forward<B: Backend>(
        &self,
        inputs: [FloatTensor<B>; N],
        tracked: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>);

    /// The gradient of every input, from the gradient of the output.
    fn backward<B: Backend>(
        &self,
        inputs: [FloatTensor<B>; N],
        saved: Vec<FloatTensor<B>>,
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; N];
}

/// A back end that a network can run on.
pub trait NestorBackend: Backend {
    /// Whether fused host operations are the fast path (CPU) or tensor operations are (GPU).
    const HOST: bool;

    /// Lets `read` see the values of tensors as dense slices.
    fn read<const N: usize, R>(
        inputs: [FloatTensor<Self>; N],
        read: impl FnOnce([&[f32]; N]) -> R,
    ) -> R;

    /// Runs a host operation on tensors, as one node of the gradient graph where there is one.
    fn host_op<O: HostOp<N>, const N: usize>(
        op: O,
        inputs: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self> {
        let device = Self::float_device(&inputs[0]);
        let (values, _) = Self::read(inputs, |slices| op.forward(slices, false));
        Self::float_from_data(TensorData::new(values, op.output_shape()), &device)
    }

    /// Runs a device operation on tensors, as one node of the gradient graph where there is one.
    fn device_op<O: DeviceOp<N>, const N: usize>(
        op: O,
        inputs: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self> {
        op.forward::<Self>(inputs, false).0
    }
}

impl NestorBackend for Cpu {
    const HOST: bool = true;

    fn read<const N: usize, R>(
        inputs: [FloatTensor<Self>; N],
        read: impl FnOnce([&[f32]; N]) -> R,
    ) -> R {
        let dense = inputs.map(|tensor| tensor.to_contiguous());
        read(std::array::from_fn(|i| {
            dense[i]
                .as_slice::<f32>()
                .expect("a contiguous f32 tensor is a slice")
        }))
    }
}

/// A back end whose tensors lie on a card: tensor operations are the fast path, and values are copied to be read.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
macro_rules! on_a_card {
    ($backend:ty) => {
        impl NestorBackend for $backend {
            const HOST: bool = false;

            fn read<const N: usize, R>(
                inputs: [FloatTensor<Self>; N],
                read: impl FnOnce([&[f32]; N]) -> R,
            ) -> R {
                let data = inputs.map(|tensor| {
                    let count = burn::tensor::TensorMetadata::shape(&tensor).num_elements();
                    let flat = <Self as burn::tensor::ops::FloatTensorOps<Self>>::float_reshape(
                        tensor,
                        burn::tensor::Shape::new([count]),
                    );
                    Tensor::<Self, 1>::from_primitive(TensorPrimitive::Float(flat)).into_data()
                });
                read(std::array::from_fn(|i| {
                    data[i]
                        .as_slice::<f32>()
                        .expect("the back end's float type is f32")
                }))
            }
        }
    };
}
#[cfg(feature = "cuda")]
on_a_card!(Cuda);
#[cfg(feature = "wgpu")]
on_a_card!(Wgpu);

impl<B: NestorBackend, C: CheckpointStrategy> NestorBackend for Autodiff<B, C> {
    const HOST: bool = B::HOST;

    fn read<const N: usize, R>(
        inputs: [FloatTensor<Self>; N],
        read: impl FnOnce([&[f32]; N]) -> R,
    ) -> R {
        B::read(inputs.map(|tensor| tensor.primitive), read)
    }

    fn host_op<O: HostOp<N>, const N: usize>(
        op: O,
        inputs: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self> {
        let nodes = std::array::from_fn(|i| inputs[i].node.clone());
        let values = inputs.map(|tensor| tensor.primitive);
        let device = B::float_device(&values[0]);
        let make =
            |out: Vec<f32>| B::float_from_data(TensorData::new(out, op.output_shape()), &device);
        match HostBackward(op.clone())
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (out, saved) = B::read(values.clone(), |slices| op.forward(slices, true));
                let out = make(out);
                prep.finish((values, saved), out)
            }
            OpsKind::UnTracked(prep) => {
                let (out, _) = B::read(values, |slices| op.forward(slices, false));
                prep.finish(make(out))
            }
        }
    }

    fn device_op<O: DeviceOp<N>, const N: usize>(
        op: O,
        inputs: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self> {
        let nodes = std::array::from_fn(|i| inputs[i].node.clone());
        let values = inputs.map(|tensor| tensor.primitive);
        match DeviceBackward(op.clone())
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (out, saved) = op.forward::<B>(values.clone(), true);
                prep.finish((values, saved), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(op.forward::<B>(values, false).0),
        }
    }
}

/// The backward node of a device operation.
#[derive(Debug)]
struct DeviceBackward<O>(O);

impl<B: Backend, O: DeviceOp<N>, const N: usize> Backward<B, N> for DeviceBackward<O> {
    type State = ([FloatTensor<B>; N], Vec<FloatTensor<B>>);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (inputs, saved) = ops.state;
        let gradients = self.0.backward::<B>(inputs, saved, grad);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The backward node of a host operation.
#[derive(Debug)]
struct HostBackward<O>(O);

impl<B: NestorBackend, O: HostOp<N>, const N: usize> Backward<B, N> for HostBackward<O> {
    type State = ([FloatTensor<B>; N], O::Saved);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (inputs, saved) = ops.state;
        let device = B::float_device(&grad);
        let shapes: [Vec<usize>; N] = std::array::from_fn(|i| {
            burn::tensor::TensorMetadata::shape(&inputs[i])
                .as_slice()
                .to_vec()
        });
        let gradients = B::read([grad], |[grad]| {
            B::read(inputs, |slices| self.0.backward(slices, &saved, grad))
        });
        for ((parent, gradient), shape) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            if let Some(node) = parent {
                let gradient = B::float_from_data(TensorData::new(gradient, shape), &device);
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// [`NestorBackend::device_op`] over tensors instead of primitives.
pub(crate) fn apply_on_device<B: NestorBackend, O: DeviceOp<N>, const N: usize, const D: usize>(
    op: O,
    inputs: [FloatTensor<B>; N],
) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(B::device_op(op, inputs)))
}

/// [`NestorBackend::host_op`] over tensors instead of primitives.
pub(crate) fn apply<B: NestorBackend, O: HostOp<N>, const N: usize, const D: usize>(
    op: O,
    inputs: [FloatTensor<B>; N],
) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(B::host_op(op, inputs)))
}
