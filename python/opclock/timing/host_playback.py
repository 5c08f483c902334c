"""Times the host's work: plays a model's Python with its kernels switched off.

Played alone, the host finds its code and data in the caches, and so does a kernel timed alone. In a real inference each
displaces the other. So they co-run here: at each op call, the playback also times one op call of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import torch
from torch import _tensor_str

from opclock.errors import OpCallError, described, model_errors
from opclock.estimation.host_costs import host_kinds
from opclock.estimation.host_keys import host_key
from opclock.extension import load_aten
from opclock.profiles.statistics import Samples
from opclock.timing.host_values import readable_outputs
from opclock.timing.memory_budget import check_run
from opclock.timing.operators import named_constant
from opclock.timing.quantized import new_quantized
from opclock.tracing.control_flow import register_for_playback
from opclock.tracing.forward import needs_reset, prepared
from opclock.tracing.model_state import ModelState
from opclock.tracing.op_call import NamedConstant, TensorSpec, Value, tensors
from opclock.tracing.trace import Trace

Forward = Callable[[], object]


class Host(Protocol):
    """Plays host work during a pool's rounds."""

    key: str  # identifies it in a profile
    kinds: tuple[str, ...]  # kinds of host work, one for each column of its samples
    python_calls: tuple[int, ...]  # Python functions that it calls, for each column; () where that is not known

    def rounds(self, pool: Any, seconds: Samples, host_s: Samples, control_s: Samples, unkept: int = 0) -> None:  # noqa: ANN401
        """Run rounds in a row.

        Args:
            pool: the compiled pool.
            seconds: rounds x op calls, is filled in.
            host_s: rounds x kinds of host work, is filled in.
            control_s: rounds; is filled in with the control workload's seconds.
            unkept: how many rounds come first, of which nothing is kept.
        """


class _Placeholders:
    """Outputs for the playback: tensors with the right specs in one block of memory that is never touched."""

    def __init__(self, trace: Trace) -> None:
        specs = [spec for traced in trace.calls for spec in tensors(traced.outputs)]
        self._blocks: dict[tuple[str, str], torch.Tensor] = {}
        self._quantized = {spec: new_quantized(spec) for spec in specs if spec.quantization is not None}
        for spec in specs:
            if spec.quantization is not None:
                continue
            kind = (spec.dtype, spec.device)
            if kind not in self._blocks or self._blocks[kind].numel() < spec.span:
                dtype = named_constant(NamedConstant("dtype", spec.dtype))
                self._blocks[kind] = torch.empty(max(spec.span, 1), dtype=dtype, device=spec.device)

    def make(self, value: Value, known: Any = None) -> Any:  # noqa: ANN401
        """An output as recorded. ``known`` is that of a real run, with None for what is not kept."""
        if isinstance(value, TensorSpec):
            return known if _fits(known, value) else self._tensor(value)
        if isinstance(value, NamedConstant):
            return named_constant(value)
        if isinstance(value, tuple):
            items = known if isinstance(known, list | tuple) and len(known) == len(value) else [None] * len(value)
            return [self.make(*pair) for pair in zip(value, items, strict=True)]
        return value

    def _tensor(self, spec: TensorSpec) -> torch.Tensor:
        if spec.quantization is not None:
            return self._quantized[spec]
        block = self._blocks[spec.dtype, spec.device]
        tensor = torch.empty(0, dtype=block.dtype, device=block.device)  # a view would handle gradients differently
        tensor.set_(block.untyped_storage(), 0, spec.shape, spec.stride)
        return tensor.conj() if spec.conjugate else tensor


def _fits(known: object, spec: TensorSpec) -> bool:
    return isinstance(known, torch.Tensor) and tuple(known.shape) == spec.shape and str(known.dtype)[6:] == spec.dtype


_HIDDEN_FROM_MODES = torch._C.DispatchKeySet(torch._C.DispatchKey.Python)  # hidden() in csrc/aten/playback_keys.hpp


@contextmanager
def _text_unseen() -> Iterator[None]:
    """Keep from a playback in the block the op calls that show a tensor as text.

    PyTorch disables dispatch modes for them, so that no trace has them. They are the host's work, and run.
    """
    shown = _tensor_str._str

    def unseen(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        with torch._C._ExcludeDispatchKeyGuard(_HIDDEN_FROM_MODES):
            return str(shown(*args, **kwargs))

    _tensor_str._str = unseen
    try:
        yield
    finally:
        _tensor_str._str = shown


class PlayedHost:
    """Plays the model's own Python, with placeholders for all outputs."""

    def __init__(self, trace: Trace, forward: Forward) -> None:
        """Play the model once. Raises OpCallError where its Python does not follow the trace or needs real values."""
        self.key = host_key(trace)
        self.kinds = host_kinds(trace)
        self.python_calls = trace.python_calls
        self.forward = forward
        self.trace = trace
        self._playback = self._recording([])
        register_for_playback()
        self._settle()

    def _recording(self, known: list[tuple[Any, ...]]) -> Any:  # noqa: ANN401
        """A playback of the trace: its outputs are placeholders, but for those that are known."""
        gradients = "gradients" in self.trace.steps
        with torch.inference_mode(mode=not gradients), torch.no_grad():
            placeholders = _Placeholders(self.trace)
            calls = []
            for traced, values in zip(self.trace.calls, known or [()] * len(self.trace.calls), strict=True):
                outputs = tuple(placeholders.make(*pair) for pair in zip_longest(traced.outputs, values))
                calls.append((traced.call.operator, traced.call.overload, outputs))
        return load_aten().Playback(calls)

    def _settle(self) -> None:
        """Play once; where the model's Python does not follow, play what it does after a real run, with values from it.

        A first run may do more than later ones, and Python may read sizes that the model computes.
        """
        state = ModelState(self.forward)
        try:
            self.alone()
        except OpCallError:
            state.restore()
            self._playback = self._recording(self._run_really())
            self.alone()

    def _run_really(self) -> list[tuple[Any, ...]]:
        """Run the model once. Returns what its Python may read, see ``readable_outputs``."""
        check_run(self.trace)
        try:
            return readable_outputs(self.forward, self.trace)
        except Exception as error:
            raise OpCallError(f"the model cannot be played back, nor run: {described(error)}") from error

    def alone(self) -> Samples:
        """Host seconds by kind, without kernels."""
        try:
            host_s = np.empty(len(self.kinds))
            with prepared(self.forward), _text_unseen():
                self._playback.run(self.forward, host_s)
            return host_s
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise OpCallError(f"the model cannot be played back: {described(error)}") from error

    def play(self, host_s: Samples, pool: Any) -> None:  # noqa: ANN401
        """Play the Python of one inference; each op call makes one visit of the round that the pool has begun."""
        with _text_unseen():
            self._playback.run(self.forward, host_s, pool)

    def rounds(self, pool: Any, seconds: Samples, host_s: Samples, control_s: Samples, unkept: int = 0) -> None:  # noqa: ANN401
        """Play the Python of one inference during each round of the pool. See ``Host.rounds``.

        Where the model allows it nothing else runs between two rounds, as nothing does between two inferences.
        """
        with model_errors("in a later run, the model"), _text_unseen():
            if not needs_reset(self.forward):
                with prepared(self.forward):
                    self._playback.rounds(self.forward, pool, seconds, host_s, control_s, unkept)
                return
            for number in (*[None] * unkept, *range(len(control_s))):
                row = slice(number or 0, (number or 0) + 1)
                with prepared(self.forward):
                    self._playback.rounds(self.forward, pool, seconds[row], host_s[row], control_s[row])
                if number is None:
                    pool.discard_last()

    def observe(self, kernel_s: Samples, host_s: Samples) -> None:
        """Run the model on its real inputs with kernels. Fills in seconds by op call, and of the host between them."""
        with prepared(self.forward), _text_unseen(), model_errors("in a later run, the model"):
            self._playback.observe(self.forward, kernel_s, host_s)
