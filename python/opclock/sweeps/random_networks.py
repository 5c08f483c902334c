"""Networks drawn at random, for predictors to learn from: what a kernel takes among those of a network.

A kernel in a pool of a sweep finds other caches than in a network, where its input was written just before, and where
the code of its kind was run by its neighbours: it took 1.1 to 2.7 times as long, each kind differently.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from opclock.sweeps import attention_blocks as attention
from opclock.sweeps import convolutional_blocks as blocks
from opclock.sweeps.convolutional_blocks import Activation, convolution
from opclock.sweeps.decoder_blocks import Decoder

SEED = 20261129  # for drawing networks: every board gets the same ones
MAX_CHANNELS = 1280
CLASSES = 100
WORDS = 2000
ACTIVATIONS: tuple[Activation, ...] = (
    partial(nn.ReLU, inplace=True), partial(nn.ReLU, inplace=True), partial(nn.ReLU6, inplace=True),
    partial(nn.SiLU, inplace=True), partial(nn.Hardswish, inplace=True), partial(nn.LeakyReLU, inplace=True), nn.GELU,
    nn.ReLU,
)  # fmt: skip


class Network(NamedTuple):
    """A network in evaluation mode, and inputs for it."""

    name: str
    module: nn.Module
    inputs: Tensor


def _width(low: float, high: float, random_: random.Random, multiple: int = 8) -> int:
    """A multiple, evenly spaced in the logarithm."""
    drawn = math.exp(random_.uniform(math.log(low), math.log(high)))
    return min(MAX_CHANNELS, max(multiple, round(drawn / multiple) * multiple))


def _image(side: int, random_: random.Random, batches: tuple[int, ...] = (1, 1, 1, 1, 2, 4, 8)) -> Tensor:
    return torch.randn(random_.choice(batches), 3, side, side)


class _Stages:
    """Draws the stages of a convolutional network: each has some blocks of one kind, and half the side of the last."""

    def __init__(self, channels: int, random_: random.Random) -> None:
        self.layers: list[nn.Module] = []
        self.channels = channels
        self._random = random_
        self._activation = random_.choice(ACTIVATIONS)
        self._wider, self._kernel = random_.choice((2, 3, 4, 6, 6)), random_.choice((3, 3, 5))
        self._gate: Activation | None = random_.choice((None, None, nn.Sigmoid, nn.Hardsigmoid))
        self._groups = random_.choice((4, 8, 16, 32))
        kinds: tuple[Callable[[int], None], ...] = (
            partial(self._residual, bottleneck=False), partial(self._residual, bottleneck=True),
            partial(self._residual, bottleneck=True, grouped=True), self._inverted, self._inverted, self._shuffled,
            self._dense, self._branches, self._squeezed, self._plain,
        )  # fmt: skip
        self._kind = random_.choice(kinds)

    def first(self, side: int) -> None:
        """The layers that read the image."""
        stride = 2 if side > 64 else self._random.choice((1, 2))
        self.layers.append(convolution(3, self.channels, self._random.choice((3, 3, 7)), stride,
                                       activation=self._activation))  # fmt: skip
        if side > 96 or self._random.random() < 0.3:
            self.layers.append(nn.MaxPool2d(3, 2, 1))

    def stage(self, number: int) -> None:
        """One more stage."""
        self._kind(number)

    def _grown(self, multiple: int = 8) -> int:
        return _width(self.channels * 1.4, self.channels * 2.2, self._random, multiple)

    def _count(self) -> int:
        return self._random.randint(1, 3)

    def _strides(self, number: int) -> list[int]:
        return [2 if number else 1, *[1] * (self._count() - 1)]

    def _residual(self, number: int, *, bottleneck: bool, grouped: bool = False) -> None:
        outer = self._grown(4 * self._groups if grouped else 32)
        for stride in self._strides(number):
            self.layers.append(blocks.Residual(self.channels, outer, stride, self._activation, bottleneck=bottleneck,
                                               groups=self._groups if grouped else 1))  # fmt: skip
            self.channels = outer

    def _inverted(self, number: int) -> None:
        outer = self._grown()
        for stride in self._strides(number):
            self.layers.append(blocks.Inverted(self.channels, outer, stride, self._activation, wider=self._wider,
                                               kernel=self._kernel, gate=self._gate))  # fmt: skip
            self.channels = outer

    def _shuffled(self, _number: int) -> None:
        outer = self._grown()
        self.layers.append(convolution(self.channels, outer, stride=2, activation=self._activation))
        self.layers += [blocks.Shuffled(outer, self._activation) for _ in range(self._count())]
        self.channels = outer

    def _dense(self, _number: int) -> None:
        more = self._random.choice((12, 16, 24, 32))
        for _ in range(self._count() + 2):
            self.layers.append(blocks.Dense(self.channels, more))
            self.channels += more
        half = self.channels // 2
        self.layers += [nn.BatchNorm2d(self.channels), nn.ReLU(inplace=True),
                        nn.Conv2d(self.channels, half, 1, bias=False), nn.AvgPool2d(2, 2, ceil_mode=True)]  # fmt: skip
        self.channels = half

    def _branches(self, number: int) -> None:
        self._smaller(number)
        quarter = blocks.narrow(self._grown(), 4)
        for _ in range(self._count()):
            pool = self._random.choice((nn.MaxPool2d, nn.AvgPool2d))(3, 1, 1)
            self.layers.append(blocks.Branches(self.channels, quarter, self._activation,
                                               kernel=self._random.choice((3, 5)), pool=pool))  # fmt: skip
            self.channels = 4 * quarter

    def _squeezed(self, number: int) -> None:
        self._smaller(number)
        half = self._grown() // 2
        for _ in range(self._count()):
            self.layers.append(blocks.Squeezed(self.channels, half))
            self.channels = 2 * half

    def _plain(self, number: int) -> None:
        self._smaller(number)
        outer, norm = self._grown(), self._random.random() < 0.7
        for _ in range(self._count()):
            self.layers.append(convolution(self.channels, outer, activation=self._activation, norm=norm))
            self.channels = outer

    def _smaller(self, number: int) -> None:
        if number:
            self.layers.append(nn.MaxPool2d(3, 2, 1, ceil_mode=True))


def _convolutional(random_: random.Random) -> tuple[nn.Module, Tensor]:
    side = random_.choice((32, 32, 48, 64, 64, 96, 128, 160, 224))
    stages = _Stages(_width(16, 64, random_), random_)
    stages.first(side)
    for number in range(random_.randint(2, 5)):
        stages.stage(number)
    hidden = random_.choice((0, 0, 0, 256, 1024))
    last: list[nn.Module] = [nn.Dropout(), nn.Linear(stages.channels, hidden or CLASSES)]
    last += [nn.ReLU(inplace=True), nn.Linear(hidden, CLASSES)] if hidden else []
    mean: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if random_.random() < 0.3:
        mean = [attention.Averaged((2, 3))]
    return nn.Sequential(nn.Sequential(*stages.layers), *mean, nn.Sequential(*last)), _image(side, random_)


def _encoder(width: int, heads: int, random_: random.Random) -> Callable[[], attention.Encoder]:
    """Encoders of one kind."""
    projections: attention.Projections = random_.choice(("separate", "together"))
    products: attention.Products = random_.choice(("fused", "fused", "written out"))
    activation: Activation = random_.choice((nn.GELU, nn.ReLU))
    return partial(attention.Encoder, width, heads, wider=random_.choice((2, 4, 4)), projections=projections,
                   products=products, first=random_.random() < 0.6, activation=activation)  # fmt: skip


def _transformer(random_: random.Random) -> tuple[nn.Module, Tensor]:
    heads = random_.choice((2, 3, 4, 6, 8, 12))
    width = heads * random_.choice((16, 32, 64))
    encoder = _encoder(width, heads, random_)
    encoders = nn.Sequential(*(encoder() for _ in range(random_.randint(1, 3))))
    if random_.random() < 0.6:
        side, patch = random_.choice(((32, 4), (64, 8), (96, 16), (128, 16), (224, 16), (224, 32)))
        first: nn.Module = attention.ImageTokens(side, patch, width)
        inputs = _image(side, random_, (1, 1, 1, 2, 4))
    else:
        first = attention.WordTokens(WORDS, width)
        inputs = torch.randint(0, WORDS, (random_.choice((1, 1, 1, 2, 4)), random_.choice((16, 32, 64, 128, 256))))
    return nn.Sequential(first, encoders, attention.Classifier(width)), inputs


def _windowed(random_: random.Random) -> tuple[nn.Module, Tensor]:
    heads, side = random_.choice((2, 3, 4)), random_.choice((4, 7, 8))
    width = heads * random_.choice((16, 32))
    encoder = _encoder(width, heads, random_)
    layers = [attention.Windows(encoder(), side, shift) for shift in (0, side // 2)]
    module = nn.Sequential(nn.Conv2d(3, width, 4, 4), attention.LastChannels(), *layers, attention.Averaged((1, 2)),
                           nn.Linear(width, CLASSES))  # fmt: skip
    return module, _image(4 * side * random_.choice((1, 2, 4)), random_, (1, 1, 2))


def _mixed(random_: random.Random) -> tuple[nn.Module, Tensor]:
    width, side = _width(32, 256, random_), random_.choice((32, 64, 96, 128, 224))
    layers = [attention.Mixed(width, random_.choice((5, 7))) for _ in range(random_.randint(1, 3))]
    module = nn.Sequential(nn.Conv2d(3, width, 4, 4), *layers, attention.Averaged((2, 3)), nn.Linear(width, CLASSES))
    return module, _image(side, random_, (1, 1, 2))


def _unet(random_: random.Random) -> tuple[nn.Module, Tensor]:
    module = blocks.UNet(_width(8, 32, random_), resized=random_.random() < 0.5)
    return module, _image(random_.choice((32, 64, 96, 128)), random_, (1,))


def _decoder(random_: random.Random) -> tuple[nn.Module, Tensor]:
    size, heads = random_.choice((32, 64, 64, 96, 128)), random_.choice((4, 6, 8))
    shared_by = random_.choice([1, 1, *(some for some in (2, 3, 4) if heads % some == 0)])
    width, before = size * heads, random_.choice((0, 16, 64, 256, 1024))
    middle = round(width * random_.choice((2, 8 / 3, 4)) / 32) * 32
    module = Decoder(random_.choice((1000, 4000, 16_000)), width, heads, random_.randint(1, 2), shared_by=shared_by,
                     middle=middle, before=before)  # fmt: skip
    words = torch.randint(0, 1000, (1, random_.choice((1, 1, 1, 8, 32, 128))))
    return (module.to(torch.bfloat16) if random_.random() < 0.4 else module), words


# What is drawn, and how often.
DRAWS = (_convolutional, _transformer, _windowed, _mixed, _unet, _decoder)
SHARES = (0.5, 0.16, 0.07, 0.07, 0.06, 0.14)


def name_of(number: int) -> str:
    """The name of a drawn network."""
    return f"network {number}"


def random_network(number: int) -> Network:
    """Draw a network, the same one for each number. PyTorch's random generator is afterwards as it was."""
    random_ = random.Random(f"{SEED} {number}")
    draw = random_.choices(DRAWS, SHARES)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        module, inputs = draw(random_)
    return Network(name_of(number), module.eval(), inputs)
