"""How the MACs of each operator are counted, and which operators multiply but are not counted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from opclock.tracing.op_call import OpCall, PackedParams, TensorSpec, Value, tensors, unpacked
from opclock.tracing.products import Shape, attention, broadcast, chain, convolution, einsum, transposed_convolution

Counter = Callable[[OpCall, Shape], int]  # takes the shape of the first output


def _shape(value: Value) -> Shape:
    if isinstance(value, PackedParams):
        return _shape(value.args[0])  # the weight
    return value.shape if isinstance(value, TensorSpec) else ()


def _matrices(call: OpCall) -> int:
    """Elements of all matrices among the arguments in lists: of a recurrent layer's weights, without its biases."""
    lists = tuple(value for value in call.args if isinstance(value, tuple))
    return sum(spec.numel for spec in tensors(unpacked(lists)) if len(spec.shape) == 2)


def _inner(argument: int = 0) -> Counter:
    """A product in which each output element takes one MAC for each element of an argument's last dimension."""
    return lambda call, output: math.prod(output) * (1, *_shape(call.args[argument]))[-1]


def _convolution(call: OpCall, output: Shape) -> int:
    return convolution(_shape(call.args[1]), output)


def _transposed(call: OpCall, output: Shape) -> int:
    return transposed_convolution(_shape(call.args[1]), _shape(call.args[0]))


def _either_convolution(call: OpCall, output: Shape) -> int:
    return (_transposed if call.args[6] else _convolution)(call, output)


def _time_convolution(call: OpCall, output: Shape) -> int:
    taps, inner, _ = _shape(call.args[1])  # kernel, C_in, C_out
    return math.prod(output) * taps * inner


def _batches_added(call: OpCall, output: Shape) -> int:
    batches, _, inner = _shape(call.args[1])
    return math.prod(output) * batches * inner


def _grouped(call: OpCall, output: Shape) -> int:
    """Groups of rows or columns, or of the inner dimension: then each output has only its group's part of that."""
    left, right = _shape(call.args[0]), _shape(call.args[1])
    by_inner = len(left) == len(right) == 2
    return math.prod(output[1:] if by_inner else output) * left[-1]


def _tensordot(call: OpCall, output: Shape) -> int:
    left = _shape(call.args[0])
    summed: int = math.prod(left[dimension] for dimension in call.args[2])
    return math.prod(output) * summed


def _along_dimension(call: OpCall, output: Shape) -> int:
    return math.prod(broadcast(_shape(call.args[0]), _shape(call.args[1])))


def _bilinear(call: OpCall, output: Shape) -> int:
    return math.prod(output[:-1]) * math.prod(_shape(call.args[2]))


def _einsum(call: OpCall, output: Shape) -> int:
    shapes = [spec.shape for spec in tensors(call.args[1])]
    return einsum(call.args[0], shapes, call.argument(2, "path") or ())


def _layer(call: OpCall, output: Shape) -> int:
    # Each weight matrix is applied once a step and batch item, and in a packed sequence once a row.
    return math.prod(_shape(call.args[0])[:-1]) * _matrices(call)


def _cell(call: OpCall, output: Shape) -> int:
    return math.prod(_shape(call.args[0])[:-1]) * sum(math.prod(_shape(weight)) for weight in call.args[2:4])


def _onednn_layer(call: OpCall, output: Shape) -> int:
    return math.prod(_shape(call.args[0])[:-1]) * sum(math.prod(_shape(weight)) for weight in call.args[1:3])


def _attention(call: OpCall, output: Shape) -> int:
    return attention(output, _shape(call.args[1]))


def _native_attention(call: OpCall, output: Shape) -> int:
    batch, length, width = _shape(call.args[0])
    projections = sum(math.prod(_shape(call.args[i])) for i in (5, 7))
    return batch * length * projections + attention((batch, length, width), (length, width))


def _encoder_layer(call: OpCall, output: Shape) -> int:
    batch, length, width = _shape(call.args[0])
    matrices = sum(math.prod(_shape(call.args[i])) for i in (3, 5, 14, 16))  # a padding mask has two dimensions, too
    return batch * length * matrices + attention((batch, length, width), (length, width))


def _bags(call: OpCall, output: Shape) -> int:
    """Embeddings are only added, unless each has a weight of its own."""
    weights = call.argument(6, "per_sample_weights")
    return math.prod(_shape(weights)) * _shape(call.args[0])[-1] if isinstance(weights, TensorSpec) else 0


def _linalg_multi_dot(call: OpCall, output: Shape) -> int:
    return chain([spec.shape for spec in tensors(call.args[0])])


# By the operator's name without its namespace.
_BY_COUNTER: dict[Counter, tuple[str, ...]] = {
    _convolution: (
        "conv1d", "conv2d", "conv3d", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d_forward", "_convolution_mode",
        "slow_conv3d", "slow_conv3d_forward", "slow_conv_dilated2d", "slow_conv_dilated3d", "conv_depthwise3d",
        "_conv_depthwise2d", "_nnpack_spatial_convolution", "cudnn_convolution", "cudnn_convolution_relu",
        "cudnn_convolution_add_relu", "miopen_convolution", "miopen_depthwise_convolution", "deform_conv2d",
        "conv1d_relu", "conv2d_relu", "conv3d_relu", "conv2d_add", "conv2d_add_relu", "conv1d_dynamic",
        "conv2d_dynamic", "conv3d_dynamic",
    ),
    _transposed: (
        "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "slow_conv_transpose2d", "slow_conv_transpose3d",
        "cudnn_convolution_transpose", "miopen_convolution_transpose", "conv_transpose1d_dynamic",
        "conv_transpose2d_dynamic", "conv_transpose3d_dynamic",
    ),
    _either_convolution: ("convolution", "_convolution", "convolution_overrideable"),
    _time_convolution: ("conv_tbc",),
    _inner(): (
        "mm", "bmm", "matmul", "mv", "dot", "vdot", "linear", "inner", "linalg_matmul", "mkldnn_linear", "cdist",
        "_cdist_forward", "_euclidean_dist", "pdist", "_pdist_forward", "_int_mm", "_scaled_mm", "_scaled_mm_v2",
        "_weight_int8pack_mm", "_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu", "_dyn_quant_matmul_4bit",
        "_weight_int4pack_mm_with_scales_and_zeros", "fbgemm_linear_fp16_weight", "fbgemm_linear_int8_weight",
        "fbgemm_linear_fp16_weight_fp32_activation", "fbgemm_linear_int8_weight_fp32_activation", "linear_dynamic",
        "linear_relu", "linear_relu_dynamic", "linear_dynamic_fp16", "qlinear_pointwise", "_linear_pointwise",
        "linear_leaky_relu", "linear_tanh", "linear_relu_dynamic_fp16",
    ),
    _inner(1): ("addmm", "addmv", "baddbmm", "_addmm_activation"),
    _batches_added: ("addbmm",),
    _grouped: ("_grouped_mm", "_scaled_grouped_mm", "_scaled_grouped_mm_v2"),
    lambda call, output: math.prod(output): ("outer", "ger", "addr", "kron"),
    _tensordot: ("tensordot",),
    _along_dimension: ("linalg_vecdot",),
    _bilinear: ("bilinear",),
    _einsum: ("einsum",),
    _linalg_multi_dot: ("linalg_multi_dot", "chain_matmul"),
    _attention: (
        "scaled_dot_product_attention", "_scaled_dot_product_flash_attention", "_scaled_dot_product_attention_math",
        "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable",
    ),
    _native_attention: ("_native_multi_head_attention",),
    _encoder_layer: ("_transformer_encoder_layer_fwd",),
    _layer: ("lstm", "gru", "rnn_tanh", "rnn_relu", "_cudnn_rnn", "miopen_rnn", "quantized_lstm", "quantized_gru"),
    _cell: (
        "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell", "quantized_lstm_cell", "quantized_gru_cell",
        "quantized_rnn_tanh_cell", "quantized_rnn_relu_cell", "quantized_lstm_cell_dynamic",
        "quantized_gru_cell_dynamic", "quantized_rnn_tanh_cell_dynamic", "quantized_rnn_relu_cell_dynamic",
    ),
    _onednn_layer: ("mkldnn_rnn_layer",),
    _bags: ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"),
}  # fmt: skip

COUNTERS = {name: counter for counter, names in _BY_COUNTER.items() for name in names}

# A word of a name, between underscores, that tells of products. The factors of "upsample_bilinear2d" are no matrices.
_PRODUCT_WORDS = re.compile(
    r"(?:^|_)(?:(?:add)?b?(?:mm|mv)|baddbmm|matmul\w*|chain|dot|vdot|inner|outer|conv(?:olution|\d?d|)|linear|q?conv\w*"
    r"|einsum|bilinear|trilinear|attention|lstm|gru|rnn|gemm|linalg|fft|cholesky|solve|inverse|pinverse|qr|orgqr|ormqr"
    r"|geqrf|svd|lu|logdet|det|slogdet|matrix_power|matrix_exp|qlinear|kron)(?:_|$)"
)
# Those of them that multiply no matrices.
_NO_PRODUCTS = re.compile(
    r"vector_norm|linalg_norm|linalg_cross|linalg_diagonal|vander|powsum|check_errors|fftfreq|fftshift|fused_(?:lstm|gru)"
    r"|pack|reorder|flatten|sum_coo|convert_element_type|slice_inverse|qr_helper|get_plan_cache|set_plan_cache|clear_plan_cache"
)
# Operators of other namespaces are known by their name only: these multiply no matrices.
_NAMESPACES = ("aten", "prim", "prims", "quantized", "quantized_decomposed", "torchao")
_OTHER_WITHOUT = re.compile(
    r"nms|roi_|box|image|decode|encode|quantize|dequantize|resize|sort|unique|^add|^mul|^cat|relu"
)


def counter_of(call: OpCall) -> Counter | None:
    """What counts the MACs of an op call, also for the operator in place; None where nothing does."""
    return COUNTERS.get(call.name) or COUNTERS.get(call.name.removesuffix("_"))


def may_multiply(call: OpCall) -> bool:
    """Whether an op call that no counter knows may multiply matrices.

    PyTorch's own operators say so by their names. A custom operator may do anything with its floating-point tensors.
    """
    if call.operator.partition("::")[0] in _NAMESPACES:
        return bool(_PRODUCT_WORDS.search(call.name)) and not _NO_PRODUCTS.search(call.name)
    floats = any("float" in spec.dtype or "q" in spec.dtype for spec in call.tensors())
    return floats and not (_OTHER_WITHOUT.search(call.name) or _NO_PRODUCTS.search(call.name))
