"""A substitute for a model whose Python cannot be played: small models with common kinds of calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from opclock.errors import OpCallError
from opclock.profiles.statistics import Samples
from opclock.timing.host_playback import Forward, Host, PlayedHost
from opclock.tracing.recorder import trace as trace_model
from opclock.tracing.trace import Trace

REPEATS = 2  # of each block, with separate modules, as models repeat their blocks


class _Block(torch.nn.Module):
    """A block of a convolutional network, on tiny tensors."""

    def __init__(self, *activations: torch.nn.Module) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for activation in activations:
            layers += [torch.nn.Conv2d(4, 4, 1), torch.nn.BatchNorm2d(4), activation]
        self.layers = torch.nn.Sequential(*layers)
        self.squeeze = torch.nn.AdaptiveAvgPool2d(1)
        self.gate = torch.nn.Sigmoid()
        self.hard = torch.nn.Hardsigmoid()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        changed = self.layers(image)
        image = image + changed * self.gate(self.squeeze(changed))
        scaled: torch.Tensor = image * self.hard(image.mean((2, 3), keepdim=True))
        return scaled


class _Shuffle(torch.nn.Module):
    """Pooling, concatenation and reshaping, on tiny tensors."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.pools = nn.Sequential(nn.MaxPool2d(2, 1, 1), nn.AvgPool2d(2, 1), nn.Dropout(), nn.Identity())
        self.others = nn.Sequential(nn.GroupNorm(2, 4), nn.Upsample(size=4), nn.Tanh(), nn.LeakyReLU())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        functional = torch.nn.functional
        left, right = torch.cat((self.pools(image), image), 1).chunk(2, 1)
        image = torch.cat([functional.relu(left), right], 1).view(2, 2, 4, 4, 4).transpose(1, 2).reshape(2, 8, 4, 4)
        image = self.others(functional.pad(image[:, :4], (0, 1))[..., :-1].contiguous())
        return functional.interpolate(image, size=(4, 4), mode="bilinear")


class _Layer(torch.nn.Module):
    """A layer of a transformer, on tiny tensors."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.before, self.after = nn.LayerNorm(8), nn.LayerNorm(8)
        self.projections = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.feed = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 8))

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        query, key, value = (project(row).view(2, 4, 2, 4).transpose(1, 2) for project in self.projections)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        row = self.before(row + mixed.transpose(1, 2).reshape(2, 4, 8))
        changed: torch.Tensor = self.after(row + self.feed(row))
        return changed


class _Scores(torch.nn.Module):
    """Attention as separate operators, and the operators around it, on tiny tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.softmax = torch.nn.Softmax(-1)

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        scores = self.softmax(torch.matmul(row, row.transpose(-2, -1)) / 2.0)
        mixed = torch.bmm(torch.softmax(scores - 1.0, -1), row).unsqueeze(0).permute(0, 2, 1, 3)
        return mixed.squeeze(0).expand(4, 2, 8)[:, 0].contiguous().flatten(1)


def _played(name: str, modules: Sequence[torch.nn.Module], source: torch.Tensor) -> PlayedHost:
    model = torch.nn.Sequential(*modules).eval()
    return PlayedHost(trace_model(model, (source,), name=name), lambda: model(source))


class KindsHost:
    """Replaces a model whose Python cannot be played by small models with common kinds of calls.

    They are played one after another until the pool's round ends. So the kernels of the measured model displace their
    host work from the caches, as they would displace the model's.
    """

    def __init__(self) -> None:
        nn, image = torch.nn, torch.zeros(2, 4, 4, 4)

        def repeated(make: Callable[[], torch.nn.Module]) -> list[torch.nn.Module]:
            return [make() for _ in range(REPEATS)]

        self._models = [
            _played("residual", repeated(lambda: _Block(nn.ReLU(), nn.ReLU(inplace=True))), image),
            _played("inverted", repeated(lambda: _Block(nn.ReLU6(inplace=True), nn.SiLU(), nn.Hardswish())), image),
            _played("shuffle", repeated(_Shuffle), image),
            _played("transformer", [nn.Embedding(8, 8), *repeated(_Layer), _Scores()], torch.zeros(2, 4).long()),
        ]
        self.key = "kinds-" + hashlib.sha256("".join(one.key for one in self._models).encode()).hexdigest()[:16]
        self.kinds = tuple(kind for one in self._models for kind in one.kinds)
        self._latest = [one.alone() for one in self._models]
        self._next = 0

    def round(self, pool: Any, seconds: Samples, host_s: Samples) -> float:  # noqa: ANN401
        """Run one round with as many plays as it needs. Host seconds by kind are those of the last plays."""
        with torch.inference_mode():
            pool.begin_round()
            begun = pool.visits_left
            while pool.visits_left > 1:
                self._play(pool, begun)
            control_s = float(pool.end_round(seconds))
        host_s[:] = np.concatenate(self._latest)
        return control_s

    def _play(self, pool: Any, begun: int) -> None:  # noqa: ANN401
        number = self._next % len(self._models)
        self._next += 1
        model, host_s = self._models[number], np.empty_like(self._latest[number])
        model._playback.run(model._forward, host_s, pool)
        # Calls after the round's end had no kernels between them; they count only if the kind was not played before.
        if pool.visits_left > 1 or begun <= len(host_s):
            self._latest[number] = host_s


def host_for(trace: Trace, forward: Forward | None) -> tuple[Host, str]:
    """Choose the host that plays while the op calls of a trace are timed.

    Args:
        trace: the model.
        forward: calls the model on its inputs; None where there is no model.

    Returns:
        The model's own host and "", or the substitute and the reason for it in one line.
    """
    if forward is None:
        return KindsHost(), "no model to play: its host cost comes from a table by kind of call"
    try:
        return PlayedHost(trace, forward), ""
    except OpCallError as error:
        return KindsHost(), f"{error}; its host cost comes from a table by kind of call, and is likely too low"
