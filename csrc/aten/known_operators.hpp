// The operators that models use most, with their C++ signatures. They are called, and played back, the way Python's
// bindings call them: unboxed. Any other operator goes through the boxed dispatcher, at a microsecond or two more.
#pragma once

#include <ATen/Operators.h>

namespace opclock {

template <class... Operators>
struct OperatorList {};

namespace known_operators_detail {
namespace ops = at::_ops;
using Known = OperatorList<
    // convolution and gemm
    ops::conv1d, ops::conv2d, ops::conv3d, ops::conv1d_padding, ops::conv2d_padding, ops::conv_transpose1d,
    ops::conv_transpose2d_input, ops::linear, ops::matmul, ops::mm, ops::bmm, ops::addmm, ops::baddbmm, ops::einsum,
    ops::scaled_dot_product_attention, ops::_native_multi_head_attention, ops::lstm_input, ops::gru_input,
    // normalisation
    ops::batch_norm, ops::layer_norm, ops::group_norm, ops::instance_norm,
    // activation
    ops::relu, ops::relu_, ops::leaky_relu, ops::leaky_relu_, ops::prelu, ops::elu, ops::elu_, ops::hardtanh,
    ops::hardtanh_, ops::hardswish, ops::hardswish_, ops::hardsigmoid, ops::hardsigmoid_, ops::sigmoid, ops::sigmoid_,
    ops::tanh, ops::tanh_, ops::silu, ops::silu_, ops::gelu, ops::mish, ops::mish_, ops::softplus, ops::softmax_int,
    ops::log_softmax_int, ops::glu, ops::relu6, ops::relu6_,
    // element-wise
    ops::add_Tensor, ops::add__Tensor, ops::sub_Tensor, ops::sub__Tensor, ops::mul_Tensor, ops::mul__Tensor,
    ops::div_Tensor, ops::div__Tensor, ops::rsub_Scalar, ops::add_Scalar, ops::mul_Scalar, ops::div_Scalar, ops::neg,
    ops::exp, ops::log, ops::sqrt, ops::rsqrt, ops::pow_Tensor_Scalar, ops::pow_Scalar, ops::clamp, ops::clamp_,
    ops::clamp_min, ops::abs, ops::sin, ops::cos, ops::erf, ops::floor, ops::reciprocal, ops::where_self,
    ops::masked_fill_Scalar, ops::masked_fill__Scalar, ops::eq_Scalar, ops::ne_Scalar, ops::lt_Scalar, ops::le_Scalar,
    ops::gt_Scalar, ops::ge_Scalar, ops::eq_Tensor, ops::lt_Tensor, ops::le_Tensor, ops::gt_Tensor, ops::ge_Tensor,
    ops::bitwise_not, ops::bitwise_and_Tensor, ops::bitwise_or_Tensor, ops::logical_not, ops::maximum, ops::minimum,
    ops::tril, ops::triu, ops::dropout, ops::dropout_, ops::feature_dropout,
    // reduction
    ops::mean, ops::mean_dim, ops::sum, ops::sum_dim_IntList, ops::amax, ops::amin, ops::max_dim, ops::argmax,
    ops::cumsum, ops::norm_ScalarOpt_dim, ops::linalg_vector_norm, ops::var_dim, ops::topk, ops::sort,
    // pooling and resizing
    ops::max_pool1d, ops::max_pool2d, ops::avg_pool1d, ops::avg_pool2d, ops::adaptive_avg_pool1d,
    ops::adaptive_avg_pool2d, ops::adaptive_max_pool2d, ops::upsample_nearest2d_vec, ops::upsample_bilinear2d_vec,
    ops::upsample_bicubic2d_vec, ops::pixel_shuffle, ops::grid_sampler, ops::im2col,
    // concat and split
    ops::cat, ops::stack, ops::split_Tensor, ops::split_with_sizes, ops::chunk, ops::unbind_int,
    ops::tensor_split_sections,
    // views and copies
    ops::view, ops::reshape, ops::flatten_using_ints, ops::unflatten_int, ops::permute, ops::transpose_int, ops::t,
    ops::squeeze, ops::squeeze_dim, ops::unsqueeze, ops::expand, ops::expand_as, ops::select_int, ops::slice_Tensor,
    ops::narrow, ops::movedim_int, ops::contiguous, ops::clone, ops::copy_, ops::detach, ops::alias, ops::to_dtype,
    ops::to_dtype_layout, ops::type_as, ops::repeat, ops::repeat_interleave_self_int, ops::roll, ops::flip, ops::pad,
    ops::constant_pad_nd, ops::unfold, ops::view_as,
    // indexing
    ops::embedding, ops::gather, ops::index_Tensor, ops::index_select, ops::take_along_dim,
    // new tensors
    ops::zeros, ops::ones, ops::full, ops::empty_memory_format, ops::arange, ops::arange_start, ops::zeros_like,
    ops::ones_like, ops::full_like, ops::empty_like, ops::new_zeros, ops::new_ones, ops::new_full, ops::new_empty,
    ops::fill__Scalar, ops::fill__Tensor, ops::zero_, ops::lift_fresh>;

// Those that forwards with gradients use most, as they are called below autograd. It decomposes others, such as linear:
// these must not be implemented there, as PyTorch would no longer know which kernel is meant for other backends.
using KnownBelow =
    OperatorList<ops::mm, ops::addmm, ops::bmm, ops::t, ops::transpose_int, ops::view, ops::expand, ops::unsqueeze,
                 ops::select_int, ops::slice_Tensor, ops::detach, ops::cat, ops::add_Tensor, ops::sub_Tensor,
                 ops::mul_Tensor, ops::div_Tensor, ops::neg, ops::pow_Tensor_Scalar, ops::exp, ops::sin, ops::cos,
                 ops::sum, ops::sum_dim_IntList, ops::ones_like, ops::relu, ops::tanh, ops::sigmoid, ops::silu,
                 ops::threshold_backward, ops::tanh_backward, ops::sigmoid_backward, ops::silu_backward>;
}  // namespace known_operators_detail

using known_operators_detail::Known;
using known_operators_detail::KnownBelow;

}  // namespace opclock
