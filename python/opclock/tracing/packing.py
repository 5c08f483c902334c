"""Reads what quantised tensors and packed parameters are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from opclock.errors import TraceError, first_line
from opclock.tracing.op_call import Quantization, Value

PER_CHANNEL = (torch.per_channel_affine, torch.per_channel_affine_float_qparams)


def rounded(scale: float) -> float:
    """A scale with two significant digits: others differ by machine, and no kernel takes longer by them."""
    return float(f"{scale:.1e}")


def with_rounded_scale(operator: str, argument: str, value: Value) -> Value:
    """An op call's argument as it is recorded: rounded where it is the scale of an operator on quantised tensors."""
    quantised = "quantize" in operator or operator.startswith(("torchao::", "onednn::"))
    return rounded(value) if quantised and "scale" in argument and isinstance(value, float) else value


def quantization_of(tensor: torch.Tensor) -> Quantization | None:
    """How a tensor is quantised; None for any other tensor. A scale by channel is recorded as that of the first one."""
    if not tensor.is_quantized:
        return None
    scheme = str(tensor.qscheme())[6:]
    if tensor.qscheme() in PER_CHANNEL:
        scale, zero_point = float(tensor.q_per_channel_scales()[0]), float(tensor.q_per_channel_zero_points()[0])
        return Quantization(scheme, rounded(scale), int(zero_point), tensor.q_per_channel_axis())
    return Quantization(scheme, rounded(tensor.q_scale()), tensor.q_zero_point())


def is_quantised_script(model: torch.nn.Module) -> bool:
    """Whether a model is, or holds, TorchScript with operators on packed parameters."""
    if isinstance(model, torch.jit.ScriptModule):
        return hasattr(model, "forward") and "quantized::" in str(model.inlined_graph)
    return any(is_quantised_script(child) for child in model.children())


def _linear(packed: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ANN401
    weight, bias = torch.ops.quantized.linear_unpack(packed)
    return "linear_prepack" if weight.is_quantized else "linear_prepack_fp16", (weight, bias)


def _convolution(dimensions: int) -> Callable[[Any], tuple[str, tuple[Any, ...]]]:
    def parts(packed: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ANN401
        weight, bias = packed.unpack()
        rest = (packed.dilation(), packed.groups())
        if packed.transpose():
            around = (packed.stride(), packed.padding(), packed.output_padding())
            return f"conv_transpose{dimensions}d_prepack", (weight, bias, *around, *rest)
        return f"conv{dimensions}d_prepack", (weight, bias, packed.stride(), packed.padding(), *rest)

    return parts


def _embedding(packed: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ANN401
    return "embedding_bag_prepack", (torch.ops.quantized.embedding_bag_unpack(packed),)


def _cell(packed: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ANN401
    """Of one layer and direction of an LSTM or GRU: the state holds two packed matrices, and for int8 two biases."""
    kind, biases, _numbers, integers, matrices = packed.__getstate__()[0]
    if kind == "quantized_dynamic":
        return "make_quantized_cell_params_dynamic", (*matrices, *biases, bool(integers[0]))
    if kind == "quantized_fp16":
        return "make_quantized_cell_params_fp16", tuple(matrices)
    raise TraceError(f"parameters of a recurrent layer of the kind {kind} cannot be recorded: quantise it dynamically")


# Classes of packed parameters → the operator that makes them, and its arguments.
PREPACKED: dict[str, Callable[[Any], tuple[str, tuple[Any, ...]]]] = {
    "LinearPackedParamsBase": _linear,
    "Conv2dPackedParamsBase": _convolution(2),
    "Conv3dPackedParamsBase": _convolution(3),
    "EmbeddingPackedParamsBase": _embedding,
    "CellParamsBase": _cell,
}


def parts_of(packed: torch.ScriptObject) -> tuple[str, tuple[Any, ...]]:
    """The name of the operator that makes packed parameters, and its arguments.

    Raises:
        TraceError: opclock does not know this class, or what it holds cannot be read.
    """
    name = str(packed._type()).rpartition(".")[2]
    if name not in PREPACKED:
        raise TraceError(
            f"an argument of the class {name} cannot be recorded: quantise with torch.ao.quantization or torchao, or "
            f"leave this module as it was (opclock knows {', '.join(PREPACKED)})"
        )
    try:
        with torch.inference_mode():
            return PREPACKED[name](packed)
    except RuntimeError as error:
        raise TraceError(
            f"packed parameters of the class {name} cannot be read ({first_line(error)}): choose another backend in "
            "torch.backends.quantized.engine, or leave this module as it was"
        ) from error
