"""Small models with common kinds of calls, on tiny tensors: their time is the host's and that of dispatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch

from opclock.timing.host_playback import PlayedHost
from opclock.tracing.recorder import trace as trace_model
from opclock.tracing.torch_state import torch_plain

BLOCKS = 2  # of each kind, with separate modules, as models repeat their blocks
# The same of models with as many op calls as real ones (100 to 170): what they need fills the caches, as in those.
LONG_BLOCKS = 8

Make = Callable[[], torch.nn.Module]


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
    return PlayedHost(trace_model(model, (source,), name=name, real=False), lambda: model(source))


@cache
def small_models() -> tuple[PlayedHost, ...]:
    """The models, ready to be played. They are made and traced once in a process, which takes about 0.2 s."""
    nn = torch.nn
    with torch_plain():
        return (
            _images("residual", _residual, BLOCKS),
            _images("inverted", lambda: _Block(nn.ReLU6(inplace=True), nn.SiLU(), nn.Hardswish()), BLOCKS),
            _images("shuffle", _Shuffle, BLOCKS),
            _words("transformer", BLOCKS),
        )


@cache
def long_models() -> tuple[PlayedHost, ...]:
    """Two of them with more blocks: what timing op calls one by one adds to each grows with their number."""
    with torch_plain():
        return (
            _images("long residual", _residual, LONG_BLOCKS),
            _words("long transformer", LONG_BLOCKS),
        )


def _residual() -> torch.nn.Module:
    return _Block(torch.nn.ReLU(), torch.nn.ReLU(inplace=True))


def _images(name: str, make: Make, blocks: int) -> PlayedHost:
    return _played(name, [make() for _ in range(blocks)], torch.zeros(2, 4, 4, 4))


def _words(name: str, blocks: int) -> PlayedHost:
    layers = [_Layer() for _ in range(blocks)]
    return _played(name, [torch.nn.Embedding(8, 8), *layers, _Scores()], torch.zeros(2, 4).long())
