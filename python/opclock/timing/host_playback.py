"""Times the host's work: plays a model's Python with its kernels switched off.

Played alone, the host finds its code and data in the caches, and so does a kernel timed alone. In a real inference each
displaces the other. So they co-run here: at each op call, the playback also times one op call of the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from opclock.errors import OpCallError, described, model_errors
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.extension import load_aten
from opclock.profiles.statistics import Samples
from opclock.timing.operators import named_constant
from opclock.timing.quantized import new_quantized
from opclock.tracing.forward import prepared
from opclock.tracing.model_state import ModelState
from opclock.tracing.op_call import NamedConstant, TensorSpec, Value, tensors
from opclock.tracing.trace import Trace

Forward = Callable[[], object]


class Host(Protocol):
    """Plays host work during a pool's rounds."""

    key: str  # identifies it in a profile
    kinds: tuple[str, ...]  # kinds of host work, one for each column of its samples

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """Run one round. Fills in seconds by op call and host seconds by kind; returns the control workload's."""


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

    def make(self, value: Value) -> Any:  # noqa: ANN401
        if isinstance(value, TensorSpec) and value.quantization is not None:
            return self._quantized[value]
        if isinstance(value, TensorSpec):
            return self._blocks[value.dtype, value.device].as_strided(value.shape, value.stride)
        if isinstance(value, NamedConstant):
            return named_constant(value)
        if isinstance(value, tuple):
            return [self.make(item) for item in value]
        return value


class PlayedHost:
    """Plays the model's own Python, with placeholders for all outputs."""

    def __init__(self, trace: Trace, forward: Forward) -> None:
        """Play the model once. Raises OpCallError where its Python does not follow the trace or needs real values."""
        self.key = host_key(trace)
        self.kinds = host_kinds(trace)
        self._forward = forward
        with torch.inference_mode():
            placeholders = _Placeholders(trace)
            calls = [
                (traced.call.operator, traced.call.overload, tuple(placeholders.make(item) for item in traced.outputs))
                for traced in trace.calls
            ]
        self._playback = load_aten().Playback(calls)
        self._settle()

    def _settle(self) -> None:
        """Play once; where the model's Python does not follow, because its first run does more, after a real run."""
        state = ModelState(self._forward)
        try:
            self.alone()
        except OpCallError:
            state.restore()
            self._run_really()
            self.alone()

    def _run_really(self) -> None:
        try:
            with prepared(self._forward):
                self._forward()
        except Exception as error:
            raise OpCallError(f"the model cannot be played back, nor run: {described(error)}") from error

    def alone(self) -> Samples:
        """Host seconds by kind, without kernels."""
        try:
            host_s = np.empty(len(self.kinds))
            with prepared(self._forward):
                self._playback.run(self._forward, host_s)
            return host_s
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise OpCallError(f"the model cannot be played back: {described(error)}") from error

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """Play the Python of one inference during one round of the pool. See ``Host.round``."""
        with prepared(self._forward), model_errors("in a later run, the model"):
            pool.begin_round()
            self._playback.run(self._forward, host_s, pool)
            return float(pool.end_round(seconds))

    def observe(self, kernel_s: Samples, host_s: Samples) -> None:
        """Run the model on its real inputs with kernels. Fills in seconds by op call, and of the host between them."""
        with prepared(self._forward), model_errors("in a later run, the model"):
            self._playback.observe(self._forward, kernel_s, host_s)
