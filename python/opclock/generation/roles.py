"""What a language model spends its time on: products with weights, attention, the cache, norms, the rest, the host."""

from __future__ import annotations

from opclock.tracing.op_call import TensorSpec
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import Trace, TracedCall

WEIGHTS, ATTENTION, CACHE, NORMS, OTHER, HOST = "weights", "attention", "cache", "norms", "other", "host"
ROLES = (WEIGHTS, ATTENTION, CACHE, NORMS, OTHER, HOST)  # in the order of tables

BATCHED = ("bmm", "baddbmm")  # products of activations with activations: of queries, keys and values
GENERAL = ("matmul", "einsum")  # products of any two tensors
SOFTMAX = ("softmax", "_softmax", "_safe_softmax")
GROWING = ("cat", "concat")
FILLING = ("index_copy", "index_copy_", "slice_scatter", "index_put", "index_put_", "scatter_")
MIN_CACHE_DIMS = 3  # batch x tokens x width; what has two is the numbers of tokens
TOKENS_DIM = -2  # of a cache: batch x heads x tokens x width


def roles(trace: Trace) -> list[str]:
    """What each op call of a trace is for: one of ROLES without the host."""
    return [_role(trace, traced) for traced in trace.calls]


def weight_calls(trace: Trace) -> list[TracedCall]:
    """The products with weights."""
    return [traced for traced, role in zip(trace.calls, roles(trace), strict=True) if role == WEIGHTS]


def _role(trace: Trace, traced: TracedCall) -> str:
    name, kind = traced.call.name, class_of(traced.call)
    if "scaled_dot_product" in name or name in BATCHED or name in SOFTMAX:
        return ATTENTION
    if traced.module_type.endswith("Linear"):
        return WEIGHTS  # also what it converts of quantised ones
    if kind == "gemm":
        weight = any(trace.storages[number].kind == "weight" for number in traced.reads)
        return ATTENTION if name in GENERAL and not weight else WEIGHTS
    if _fills_cache(trace, traced):
        return CACHE
    if kind == "normalisation" or "Norm" in traced.module_type:
        return NORMS
    return OTHER


def _fills_cache(trace: Trace, traced: TracedCall) -> bool:
    """Whether an op call writes into a cache, or makes a longer one."""
    name, specs = traced.call.name, traced.call.tensors()
    if name in FILLING:
        return any(len(spec.shape) == 4 for spec in specs)
    return name in GROWING and (_lengthens(trace, traced, specs) or _concatenates_tokens(traced, specs))


def _lengthens(trace: Trace, traced: TracedCall, specs: tuple[TensorSpec, ...]) -> bool:
    """Whether it adds to rows that the program was given, such as the tokens of a cache of any shape."""
    given = (trace.storages[number].kind != "activation" for number in traced.reads)
    return any(old and len(spec.shape) >= MIN_CACHE_DIMS for old, spec in zip(given, specs, strict=True))


def _concatenates_tokens(traced: TracedCall, specs: tuple[TensorSpec, ...]) -> bool:
    dims = max((len(spec.shape) for spec in specs), default=0)
    given = [
        value for value in (*traced.call.args[1:], *(value for _, value in traced.call.kwargs)) if type(value) is int
    ]
    return dims == 4 and bool(given) and given[0] in (TOKENS_DIM, dims + TOKENS_DIM)
