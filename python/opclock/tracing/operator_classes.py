"""Assigns operators to classes, which are the rows of the tables."""

from __future__ import annotations

from opclock.tracing.op_call import OpCall

# Operators by class, without namespace and trailing underscore. An operator that is in no class is "other".
CLASSES: dict[str, tuple[str, ...]] = {
    "convolution": (
        "conv1d", "conv2d", "conv3d", "convolution", "_convolution", "conv_transpose1d", "conv_transpose2d",
        "conv_transpose3d", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d_forward", "convolution_overrideable",
        "_convolution_mode", "slow_conv3d", "slow_conv3d_forward", "slow_conv_dilated2d", "slow_conv_dilated3d",
        "slow_conv_transpose2d", "slow_conv_transpose3d", "conv_depthwise3d", "_conv_depthwise2d", "conv_tbc",
        "_nnpack_spatial_convolution", "cudnn_convolution", "cudnn_convolution_relu", "cudnn_convolution_add_relu",
        "cudnn_convolution_transpose", "miopen_convolution", "miopen_convolution_transpose",
        "miopen_depthwise_convolution", "deform_conv2d", "conv1d_relu", "conv2d_relu", "conv3d_relu", "conv2d_add",
        "conv2d_add_relu", "conv1d_dynamic", "conv2d_dynamic", "conv3d_dynamic",
        "conv_transpose1d_dynamic", "conv_transpose2d_dynamic", "conv_transpose3d_dynamic",
    ),
    "gemm": (
        "linear", "mm", "addmm", "bmm", "baddbmm", "addbmm", "matmul", "mv", "addmv", "dot", "einsum", "bilinear",
        "scaled_dot_product_attention", "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_attention_math",
        "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable",
        "vdot", "inner", "outer", "ger", "addr", "kron", "tensordot", "cdist", "_cdist_forward", "_euclidean_dist",
        "pdist", "_pdist_forward", "linalg_matmul", "linalg_multi_dot", "linalg_vecdot", "chain_matmul",
        "mkldnn_linear", "_addmm_activation", "_int_mm", "_scaled_mm", "_scaled_mm_v2", "_grouped_mm",
        "_scaled_grouped_mm", "_scaled_grouped_mm_v2", "_weight_int8pack_mm", "_weight_int4pack_mm",
        "_weight_int4pack_mm_for_cpu", "_weight_int4pack_mm_with_scales_and_zeros", "_dyn_quant_matmul_4bit",
        "fbgemm_linear_fp16_weight", "fbgemm_linear_int8_weight", "fbgemm_linear_fp16_weight_fp32_activation",
        "fbgemm_linear_int8_weight_fp32_activation", "linear_dynamic", "linear_relu", "linear_relu_dynamic",
        "linear_leaky_relu", "linear_tanh",
        "linear_dynamic_fp16", "linear_relu_dynamic_fp16", "qlinear_pointwise", "_linear_pointwise",
    ),
    "recurrent": (
        "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
        "mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell",
        "quantized_lstm", "quantized_gru", "quantized_lstm_cell", "quantized_gru_cell", "quantized_rnn_tanh_cell",
        "quantized_rnn_relu_cell", "quantized_lstm_cell_dynamic", "quantized_gru_cell_dynamic",
        "quantized_rnn_tanh_cell_dynamic", "quantized_rnn_relu_cell_dynamic",
    ),
    "normalisation": (
        "batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training", "layer_norm", "native_layer_norm",
        "group_norm", "native_group_norm", "instance_norm", "rms_norm", "local_response_norm", "_weight_norm",
        "linalg_vector_norm", "norm", "cudnn_batch_norm", "batch_norm1d", "batch_norm2d", "batch_norm3d",
        "batch_norm_relu", "batch_norm1d_relu", "batch_norm2d_relu", "batch_norm3d_relu",
    ),
    "activation": (
        "relu", "relu6", "hardtanh", "sigmoid", "hardsigmoid", "silu", "gelu", "hardswish", "mish", "tanh",
        "leaky_relu", "prelu", "elu", "selu", "celu", "softplus", "glu", "log_sigmoid", "softmax", "_softmax",
        "log_softmax", "_log_softmax", "clamp", "clamp_min", "clamp_max", "threshold", "dropout", "feature_dropout",
    ),
    "element-wise": (
        "add", "sub", "rsub", "mul", "div", "true_divide", "floor_divide", "remainder", "pow", "sqrt", "rsqrt", "exp",
        "log", "neg", "abs", "reciprocal", "sin", "cos", "erf", "square", "addcmul", "addcdiv", "lerp", "where",
        "masked_fill", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "bitwise_and",
        "bitwise_or", "bitwise_not", "maximum", "minimum", "fmod", "floor", "ceil", "round", "sign", "isnan", "isinf",
        "add_relu", "add_scalar", "add_scalar_relu", "mul_relu", "mul_scalar", "mul_scalar_relu",
    ),
    "concat": (
        "cat", "concat", "stack", "hstack", "vstack", "split_copy", "channel_shuffle", "native_channel_shuffle", "roll",
        "pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "pixel_shuffle", "pixel_unshuffle", "flip",
        "cat_relu",
    ),
    "pooling": (
        "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
        "adaptive_avg_pool2d", "adaptive_max_pool2d", "_adaptive_avg_pool2d", "max_pool2d_with_indices",
    ),
    "reduction": (
        "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all", "prod", "var", "std",
        "var_mean", "cumsum", "logsumexp", "topk", "sort", "argsort", "median",
    ),
    "copy": (
        "clone", "contiguous", "copy", "memcpy", "to", "_to_copy", "type_as", "repeat", "repeat_interleave", "tile",
        "float", "half", "bfloat16", "long", "int", "bool", "item", "_local_scalar_dense", "lift_fresh_copy",
    ),
    "index": (
        "embedding", "index", "index_select", "gather", "scatter", "scatter_add", "index_put", "index_add", "take",
        "masked_select", "nonzero", "one_hot", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only",
        "index_copy", "embedding_byte", "embedding_4bit", "embedding_bag_byte", "embedding_bag_4bit",
        "embedding_bag_byte_rowwise_offsets", "embedding_bag_4bit_rowwise_offsets",
    ),
    "quantisation": (
        "quantize_per_tensor", "quantize_per_tensor_dynamic", "quantize_per_channel", "quantize_per_token", "quantize",
        "quantize_per_channel_group", "dequantize", "dequantize_per_tensor", "dequantize_per_channel",
        "dequantize_per_token", "dequantize_per_channel_group", "choose_qparams", "choose_qparams_symmetric",
        "choose_qparams_per_token", "choose_qparams_per_token_asymmetric", "_choose_qparams_per_tensor", "int_repr",
        "quantize_affine", "dequantize_affine", "choose_qparams_affine", "fake_quantize_per_tensor_affine",
        "fake_quantize_per_channel_affine", "_make_per_tensor_quantized_tensor", "_make_per_channel_quantized_tensor",
        "q_scale", "q_zero_point", "convert_element_type",
    ),
    "resize": (
        "upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d",
        "upsample_linear1d", "upsample_trilinear3d", "_upsample_nearest_exact2d", "grid_sampler", "grid_sampler_2d",
    ),
    "view": (
        "view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "squeeze", "unsqueeze", "permute",
        "transpose", "t", "numpy_T", "movedim", "swapaxes", "swapdims", "expand", "expand_as", "broadcast_to", "select",
        "slice", "narrow", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "detach", "alias", "view_as",
        "as_strided", "diagonal", "unfold", "broadcast_tensors", "identity", "lift_fresh", "view_as_complex",
        "view_as_real", "real", "imag", "resolve_conj", "resolve_neg",
    ),
    "creation": (
        "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros",
        "new_ones", "new_full", "new_empty", "arange", "linspace", "eye", "tril", "triu", "meshgrid", "scalar_tensor",
        "rand", "randn", "randint", "randperm", "fill", "zero", "empty_strided", "bernoulli", "normal",
    ),
}  # fmt: skip

_CLASS_OF = {name: operator_class for operator_class, names in CLASSES.items() for name in names}

# The classes that a MAC count includes.
MAC_CLASSES = ("convolution", "gemm", "recurrent")

QUANTISATION = "quantisation"  # kernels that quantise and dequantise


def class_of(call: OpCall) -> str:
    """The operator class: a key of CLASSES, or "other"."""
    return _CLASS_OF.get(call.name, _CLASS_OF.get(call.name.removesuffix("_"), "other"))


def is_view(operator: str) -> bool:
    """Whether an operator, with or without namespace, only returns another view of its argument."""
    name = operator.rpartition("::")[2]
    return _CLASS_OF.get(name, _CLASS_OF.get(name.removesuffix("_"))) == "view"
