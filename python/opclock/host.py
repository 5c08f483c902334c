"""The host's cost: a model's own Python, played with its kernels switched off.

Played alone, the host finds its code and data in the caches, and so does a kernel timed alone. In a real inference
each displaces the other, so here they are sampled in each other's company: every call that the playback comes to
makes one visit of the pool's round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from opclock.arguments import named_constant
from opclock.errors import OpCallError, first_line
from opclock.extension import load_aten
from opclock.host_table import host_key, host_kinds
from opclock.measurement import Samples
from opclock.op import Named, TensorSpec, Value, tensors
from opclock.trace import Trace
from opclock.tracer import trace as trace_model

Forward = Callable[[], object]


class Host(Protocol):
    """Something that plays host work while a pool makes its round."""

    key: str
    kinds: tuple[str, ...]

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """One round of the pool: fills in seconds by number and host seconds by kind, returns the anchor's."""


class _Placeholders:
    """Outputs to hand back: the right specs, no values, all in one block of memory that is never touched."""

    def __init__(self, trace: Trace) -> None:
        specs = [spec for traced in trace.calls for spec in tensors(traced.outputs)]
        self._blocks: dict[tuple[str, str], torch.Tensor] = {}
        for spec in specs:
            kind = (spec.dtype, spec.device)
            if kind not in self._blocks or self._blocks[kind].numel() < spec.span:
                dtype = named_constant(Named("dtype", spec.dtype))
                self._blocks[kind] = torch.empty(max(spec.span, 1), dtype=dtype, device=spec.device)

    def make(self, value: Value) -> Any:  # noqa: ANN401
        if isinstance(value, TensorSpec):
            return self._blocks[value.dtype, value.device].as_strided(value.shape, value.stride)
        if isinstance(value, Named):
            return named_constant(value)
        if isinstance(value, tuple):
            return [self.make(item) for item in value]
        return value


class PlayedHost:
    """The model's own Python. Raises OpCallError where the model cannot be played back."""

    def __init__(self, trace: Trace, forward: Forward) -> None:
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
        self.alone()

    def alone(self) -> Samples:
        """Host seconds by kind with no kernels at all."""
        try:
            host_s = np.empty(len(self.kinds))
            with torch.inference_mode():
                self._playback.run(self._forward, host_s)
            return host_s
        except Exception as error:
            raise OpCallError(f"the model cannot be played back: {first_line(error)}") from error

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """One inference's Python among one round of the pool."""
        with torch.inference_mode():
            pool.begin_round()
            self._playback.run(self._forward, host_s, pool)
            return float(pool.end_round(seconds))

    def observe(self, kernel_s: Samples, host_s: Samples) -> None:
        """The model on its real inputs, kernels on: fills in seconds by op call, and of the host between them."""
        with torch.inference_mode():
            self._playback.observe(self._forward, kernel_s, host_s)


class _Kinds(torch.nn.Module):
    """One of each common kind of module and function call, on tiny tensors."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.image = nn.ModuleList([
            nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(inplace=True), nn.SiLU(),
            nn.GELU(), nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Dropout(), nn.Identity(),
            nn.MaxPool2d(2, 1, 1), nn.AvgPool2d(2, 1, 1), nn.AdaptiveAvgPool2d(4), nn.GroupNorm(2, 4),
            nn.Upsample(size=4), nn.Softmax(1), nn.Tanh(), nn.LeakyReLU(),
        ])  # fmt: skip
        self.row = nn.ModuleList(
            [nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU(), nn.GELU(), nn.Dropout(), nn.BatchNorm1d(4)]
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for module in self.image:
            image = module(image)
        left, right = torch.cat((image, image), 1).chunk(2, 1)
        image = (left + right) * left.mean((2, 3), keepdim=True)
        image = torch.nn.functional.pad(torch.nn.functional.relu(image), (0, 1))[..., :-1].contiguous()
        row = image.view(image.shape[0], 4, -1).transpose(1, 2).reshape(-1, 4)
        for module in self.row:
            row = module(row)
        row = torch.softmax(row @ row.t() / 2.0, -1).matmul(row).unsqueeze(0).permute(0, 2, 1).flatten(1)
        return torch.sigmoid(row).squeeze(0)


class KindsHost:
    """Stands in for a model whose Python cannot be played: a small model with one of each common kind of call.

    It is played again and again until the pool's round is through, so its host work is as cold as the kernels of
    the model that is measured make it.
    """

    def __init__(self) -> None:
        model, image = _Kinds().eval(), torch.zeros(2, 4, 4, 4)
        self._trace = trace_model(model, (image,), name="kinds")
        self._played = PlayedHost(self._trace, lambda: model(image))
        self.key = "kinds-" + self._played.key
        self.kinds = self._played.kinds

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """One round of the pool, among as many plays as it takes; host seconds by kind, averaged over the plays."""
        plays, latest = 0, np.empty_like(host_s)
        host_s[:] = 0.0
        with torch.inference_mode():
            pool.begin_round()
            while pool.visits_left > 1 or not plays:
                self._played._playback.run(self._played._forward, latest, pool)
                host_s += latest
                plays += 1
            host_s /= plays
            return float(pool.end_round(seconds))


def host_for(trace: Trace, forward: Forward | None) -> tuple[Host, str]:
    """The model's own host where it can be played, else the stand-in and the reason in one line."""
    if forward is None:
        return KindsHost(), "no model to play: its host cost comes from a table by kind of call"
    try:
        return PlayedHost(trace, forward), ""
    except OpCallError as error:
        return KindsHost(), f"{error}; its host cost comes from a table by kind of call"
