"""Which values rebuilt arguments need so that their kernels accept them and cost what the model's do."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from opclock.timing.operators import find_operator
from opclock.timing.values import Values, below
from opclock.tracing.known_values import KnownValues
from opclock.tracing.op_call import OpCall, TensorSpec, Value, tensors
from opclock.tracing.trace import Trace, TracedCall

LARGEST = 1 << 62  # of drawn integers: sentinels are as large as int64 allows


def _rising(total: int, closed: bool) -> Values:
    return Values("rising", (total, int(closed)))


def _shape(value: Value) -> tuple[int, ...]:
    return value.shape if isinstance(value, TensorSpec) else ()


def _size(call: OpCall, argument: int, dimension: int) -> int:
    return (*_shape(call.args[argument]), 1)[dimension] if _shape(call.args[argument]) else 1


def _numel(call: OpCall, argument: int) -> int:
    return math.prod(_shape(call.args[argument]))


def _along(traced: TracedCall, place: int) -> Values:
    """Indices along the dimension that is the operator's second argument."""
    shape, dimension = _shape(traced.call.args[0]), traced.call.args[1]
    return below(shape[dimension] if shape else 1)


def _rows_of(traced: TracedCall, place: int) -> Values:
    return below(_size(traced.call, 0, 0))


def _dimension_at(traced: TracedCall, place: int) -> Values:
    """Indices of the dimension at their place in a list. A boolean mask before them stands for all its dimensions.

    A mask has as many true ones as the call reads or writes.
    """
    mask = traced.call.args[1][place]
    if mask.dtype == "bool":
        put = traced.call.argument(2, "values")
        elements = math.prod(_shape(put)) if put is not None else math.prod(next(tensors(traced.outputs)).shape)
        if put is not None and elements == 1:  # one value for each, however many there are
            raise ValueError("any mask will do")
        return Values("true", (elements * mask.numel // max(1, _numel(traced.call, 0)),))
    before = traced.call.args[1][:place]
    skipped = sum(len(_shape(one)) if isinstance(one, TensorSpec) and one.dtype == "bool" else 1 for one in before)
    return below(_shape(traced.call.args[0])[skipped])


def _classes(traced: TracedCall, place: int) -> Values:
    shape = _shape(traced.call.args[0])
    return below(shape[1] if len(shape) > 1 else shape[0])


def _one_hot(traced: TracedCall, place: int) -> Values:
    classes = traced.call.argument(1, "num_classes", -1)
    return below(classes if classes > 0 else next(tensors(traced.outputs)).shape[-1])


def _bag_offsets(traced: TracedCall, place: int) -> Values:
    return _rising(_numel(traced.call, 1), bool(traced.call.argument(7, "include_last_offset", False)))


def _steps(traced: TracedCall, place: int) -> Values:
    rows, first_is_batch = _shape(traced.call.args[0]), traced.call.argument(2, "batch_first", False)
    return Values("filled", (rows[1 if first_is_batch else 0],))


def _packed(traced: TracedCall, place: int) -> Values:
    """The batch sizes of a packed sequence of a recurrent layer, whose state has the size of the batch."""
    state = next(tensors(traced.call.args[2]))
    return Values("batch_sizes", (_size(traced.call, 0, 0), state.shape[1]))


def _packed_again(traced: TracedCall, place: int) -> Values:
    output = next(tensors(traced.outputs)).shape
    batch = output[0 if traced.call.argument(2, "batch_first", False) else 1]
    return Values("batch_sizes", (_size(traced.call, 0, 0), batch))


def _group_ends(traced: TracedCall, place: int) -> Values:
    """Groups are of rows of the first matrix, of columns of the second, or of what both are multiplied over."""
    left, right = _shape(traced.call.args[0]), _shape(traced.call.args[1])
    if len(left) == 2:
        return Values("ends", (left[1] if len(right) == 2 else left[0],))
    return Values("ends", (right[-1],))


def _repeats(traced: TracedCall, place: int) -> Values:
    output = next(tensors(traced.outputs)).shape
    return Values("parts", (max(output, default=1) if len(output) > 1 else math.prod(output),))


def _unpooled(traced: TracedCall, place: int) -> Values:
    return below(math.prod(traced.call.args[2]))


def _chosen_by_mask(traced: TracedCall, place: int) -> Values:
    """As many true ones as the output has elements, or rows; a mask may stand for only the first dimensions."""
    call, elements = traced.call, sum(math.prod(spec.shape) for spec in tensors(traced.outputs))
    mask = next(spec for spec in call.tensors() if spec.dtype == "bool")
    return Values("true", (elements * mask.numel // max(1, _numel(call, 0)),))


def _given_by_source(argument: int) -> Callable[[TracedCall, int], Values]:
    """As many true ones as another argument has elements for them."""

    def rule(traced: TracedCall, place: int) -> Values:
        call = traced.call
        mask = next(spec for spec in call.tensors()[1:] if spec.dtype == "bool")
        return Values("true", (_numel(call, argument) * mask.numel // max(1, _numel(call, 0)),))

    return rule


def _found(traced: TracedCall, place: int) -> Values:
    """As many true ones as an operator finds."""
    return Values("true", (next(tensors(traced.outputs)).shape[0],))


def _labels(traced: TracedCall, place: int) -> Values:
    """Classes of a sequence other than the first one, which is the blank."""
    return Values("between", (1, max(2, _shape(traced.call.args[0])[-1])))


def _label_lengths(traced: TracedCall, place: int) -> Values:
    labels, log_probs = _shape(traced.call.args[1]), _shape(traced.call.args[0])
    if len(labels) == 1:  # those of all sequences, one after another
        return Values("parts", (min(labels[0], log_probs[0] * log_probs[1]),))
    return Values("filled", (min(labels[1], log_probs[0] // 2),))


Rule = Callable[[TracedCall, int], Values]  # takes the tensor's place in its list as well


def _always(maker: str, *numbers: int) -> Rule:
    return lambda traced, place: Values(maker, numbers)


_NOT_ZERO = _always("between", 1, 8)
_BAGS = ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
_LOSSES = ("nll_loss", "nll_loss_nd", "nll_loss2d", "nll_loss_forward", "cross_entropy_loss")
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_BY_TENSOR = ("quantize_per_tensor", "dequantize_per_tensor", "quantize_affine", "dequantize_affine")
_BY_CHANNEL = ("quantize_per_channel", "dequantize_per_channel")
_DIVISIONS = ("div", "divide", "true_divide", "floor_divide", "remainder", "fmod")

# Names of operators, the name of an argument in their schemas, and its values.
_RULES: tuple[tuple[tuple[str, ...], str, Rule], ...] = (
    (("embedding", *_BAGS), "indices", _rows_of),
    (_BAGS, "offsets", _bag_offsets),
    (("gather", "scatter", "scatter_add", "scatter_reduce", "index_select", "index_add", "index_copy", "index_fill",
      "index_reduce"), "index", _along),
    (("take", "put"), "index", lambda traced, place: below(_numel(traced.call, 0))),
    (("index", "_unsafe_index", "index_put", "_unsafe_index_put", "_index_put_impl"), "indices", _dimension_at),
    (("one_hot",), "self", _one_hot),
    (("max_unpool2d", "max_unpool3d"), "indices", _unpooled),
    (_LOSSES, "target", _classes),
    (("ctc_loss", "_ctc_loss"), "targets", _labels),
    (("ctc_loss", "_ctc_loss"), "input_lengths", lambda traced, place: Values("filled", (_size(traced.call, 0, 0),))),
    (("ctc_loss", "_ctc_loss"), "target_lengths", _label_lengths),
    (("masked_scatter",), "mask", _given_by_source(2)),
    (("masked_select",), "mask", _chosen_by_mask),
    (("nonzero", "argwhere"), "self", _found),
    (("linalg_ldl_solve",), "LD", _always("definite")),
    (("linalg_ldl_solve",), "pivots", _always("counting", 1)),
    (("bernoulli", "multinomial"), "self", _always("probabilities")),
    (("bernoulli",), "p", _always("probabilities")),
    (("quantile", "nanquantile"), "q", _always("probabilities")),
    (("binomial",), "prob", _always("probabilities")),
    (("binary_cross_entropy",), "self", _always("probabilities")),
    (("binary_cross_entropy",), "target", _always("probabilities")),
    (("binomial",), "count", _always("positive")),
    (("normal",), "std", _always("positive")),
    (("poisson", "_standard_gamma", "_sample_dirichlet"), "self", _always("positive")),
    (("batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training"), "running_var", _always("positive")),
    (_DIVISIONS, "other", _NOT_ZERO),
    (("linalg_cholesky", "linalg_cholesky_ex", "cholesky", "cholesky_inverse", "inverse", "logdet", "det", "slogdet",
      "linalg_solve_triangular"), "self", _always("definite")),
    (("linalg_inv", "linalg_inv_ex", "linalg_solve", "linalg_solve_ex", "_linalg_solve_ex", "linalg_det",
      "linalg_slogdet"), "A", _always("definite")),
    (("cholesky_solve",), "input2", _always("definite")),
    (("triangular_solve",), "A", _always("definite")),
    (("linalg_lu_solve",), "LU", _always("definite")),
    (("linalg_lu_solve",), "pivots", _always("counting", 1)),
    (("lu_unpack", "lu_solve"), "LU_pivots", _always("counting", 1)),
    (("_pack_padded_sequence",), "lengths", _steps),
    (("_pad_packed_sequence",), "batch_sizes", _packed_again),
    (_RECURRENT, "batch_sizes", _packed),
    (("_grouped_mm", "_scaled_grouped_mm", "_scaled_grouped_mm_v2"), "offs", _group_ends),
    (("repeat_interleave",), "repeats", _repeats),
    (("segment_reduce",), "lengths", lambda traced, place: Values("parts", (_size(traced.call, 0, 0),))),
    (_BY_TENSOR, "scale", _always("positive")),
    (_BY_TENSOR, "zero_point", _always("filled", 0)),
    (_BY_CHANNEL, "scales", _always("positive")),
    (_BY_CHANNEL, "zero_points", _always("filled", 0)),
    (("searchsorted",), "sorted_sequence", _always("sorted")),
    (("bucketize",), "boundaries", _always("sorted")),
    (("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"), "rois",
     lambda traced, place: Values("boxes", (_size(traced.call, 0, 0),))),
)  # fmt: skip

RULES = {(name, argument): rule for names, argument, rule in _RULES for name in names}


MAX_POOLS = ("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "adaptive_max_pool2d")
RELUS = ("relu", "relu_", "relu6", "relu6_")


def rectified(trace: Trace) -> frozenset[int]:
    """The storages that a ReLU has written when a max-pooling reads them.

    A max-pooling branches on its values: of 112 x 112 images with 64 channels, half of them zeros, it took 6.0 ms, of
    normal ones 3.7 ms.
    """
    writer: dict[int, str] = {}
    found: set[int] = set()
    for traced in trace.calls:
        if traced.call.name in MAX_POOLS and writer.get(traced.reads[0]) in RELUS:
            found.add(traced.reads[0])
        writer.update(dict.fromkeys(traced.writes, traced.call.name))
    return frozenset(found)


def values_of(traced: TracedCall) -> list[Values | None]:
    """The values of each of ``traced.call.tensors()``; None where any will do.

    What the trace knows exactly comes first, then a rule, then the range that the trace knows, then for integers the
    shortest dimension of the call's other tensors.
    """
    call, known = traced.call, dict(traced.values)
    sizes = [size for spec in call.tensors() if "int" not in spec.dtype for size in spec.shape]
    anything = below(min(sizes, default=2))
    chosen = []
    for number, (spec, (argument, place)) in enumerate(zip(call.tensors(), _arguments(call), strict=True)):
        rule = RULES.get((call.name.removesuffix("_"), argument)) or RULES.get((call.name, argument))
        ruled = None if rule is None else _apply(rule, traced, place)
        if ruled is not None and (ruled.maker == "true") != (spec.dtype == "bool"):
            ruled = None
        chosen.append(_chosen(spec, known.get(number), ruled, anything))
    return chosen


def _chosen(spec: TensorSpec, known: KnownValues | None, ruled: Values | None, anything: Values) -> Values | None:
    if spec.quantization is not None:
        return None
    integer = "int" in spec.dtype
    if known is not None and known.exact:
        return Values("exact", known.exact)
    span = None if known is None or not integer else Values("between", (known.low, min(known.high, LARGEST) + 1))
    if ruled is None or (ruled.maker == "between" and not integer):
        return span or (anything if integer else None)
    inside = span is not None and ruled.maker == "between" and span.numbers[0] >= ruled.numbers[0]
    return span if inside else ruled


def _apply(rule: Rule, traced: TracedCall, place: int) -> Values | None:
    """What a rule says; None where the call is not as it expects."""
    try:
        return rule(traced, place)
    except (IndexError, TypeError, StopIteration, ValueError, AttributeError):
        return None


def _arguments(call: OpCall) -> list[tuple[str, int]]:
    """For each tensor of a call: the name of its argument, and its place there if that is a list."""
    names = [*_names(call.operator, call.overload)[: len(call.args)]]
    names += [""] * (len(call.args) - len(names))
    given = [*zip(names, call.args, strict=True), *call.kwargs]
    found: list[tuple[str, int]] = []
    for name, value in given:
        items = value if isinstance(value, tuple) else (value,)
        found += [(name, place) for place, item in enumerate(items) for _ in tensors(item)]
    return found


@cache
def _names(operator: str, overload: str) -> tuple[str, ...]:
    """The names of an operator's arguments; none for an operator that PyTorch lacks."""
    try:
        schema: Any = find_operator(OpCall(operator, overload, ()))._schema
    except (AttributeError, RuntimeError):
        return ()
    return tuple(argument.name for argument in schema.arguments)
