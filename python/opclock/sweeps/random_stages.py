"""Draws the stages of convolutional networks: how wide, how deep, and of which blocks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

from torch import nn

from opclock.sweeps import convolutional_blocks as blocks
from opclock.sweeps.convolutional_blocks import Activation, Kernel, convolution

MAX_CHANNELS = 2048
ACTIVATIONS: tuple[Activation, ...] = (
    partial(nn.ReLU, inplace=True), partial(nn.ReLU, inplace=True), partial(nn.ReLU6, inplace=True),
    partial(nn.SiLU, inplace=True), partial(nn.Hardswish, inplace=True), partial(nn.LeakyReLU, inplace=True), nn.GELU,
    nn.ReLU,
)  # fmt: skip


def drawn_width(low: float, high: float, random_: random.Random, multiple: int = 8) -> int:
    """A multiple, evenly spaced in the logarithm."""
    drawn = math.exp(random_.uniform(math.log(low), math.log(high)))
    return min(MAX_CHANNELS // multiple * multiple, max(multiple, round(drawn / multiple) * multiple))


class Stages:
    """Draws the stages of one network: each has some blocks of one kind, and half the side of the last.

    In most networks the blocks of a stage differ in their inner widths, which shows more op calls. In the others they
    are equal, as in usual networks: there, code that was compiled for their shapes runs again and again.

    Attributes:
        layers: what was drawn so far.
        channels: of the last layer's output.
    """

    def __init__(self, side: int, random_: random.Random) -> None:
        """Draw the kind of blocks, and the layers that read an image of this side."""
        self._random = random_
        self._activation = random_.choice(ACTIVATIONS)
        self._kernel, self._gate = random_.choice((3, 3, 5)), random_.choice((None, None, nn.Sigmoid, nn.Hardsigmoid))
        self._groups, self._wider = random_.choice((4, 8, 16, 32)), random_.choice((3, 4, 6, 6))
        self._equal = random_.random() < 0.35
        kinds: tuple[Callable[[int], None], ...] = (
            self._basic, self._bottleneck, self._bottleneck, partial(self._bottleneck, grouped=True), self._inverted,
            self._inverted, self._shuffled, self._dense, self._branches, self._squeezed, self._plain,
        )  # fmt: skip
        self._kind = random_.choice(kinds)
        self.channels = drawn_width(16, 64 if side > 64 else 128, random_)  # small images: as wide as large ones become
        stride = 2 if side > 64 else random_.choice((1, 2))
        self.layers: list[nn.Module] = [
            convolution(3, self.channels, random_.choice((3, 3, 7)), stride, activation=self._activation)
        ]
        if side > 96 or random_.random() < 0.3:
            self.layers.append(nn.MaxPool2d(3, 2, 1))

    def stage(self, number: int) -> None:
        """One more stage. The first one, number 0, keeps the side."""
        self._kind(number)

    def _grown(self, multiple: int = 8) -> int:
        return drawn_width(self.channels * 1.4, self.channels * 2.6, self._random, multiple)

    def _count(self) -> int:
        return self._random.randint(1, 4)

    def _strides(self, number: int) -> list[int]:
        return [2 if number else 1, *[1] * (self._count() - 1)]

    def _part(self, channels: int, most: float, multiple: int = 8) -> int:
        """Between the channels and so many times fewer."""
        return blocks.narrow(channels, math.sqrt(most) if self._equal else self._random.uniform(1.0, most), multiple)

    def _basic(self, number: int) -> None:
        outer = self._grown()
        for stride in self._strides(number):
            self.layers.append(blocks.Residual(self.channels, outer, stride, self._activation))
            self.channels = outer

    def _bottleneck(self, number: int, *, grouped: bool = False) -> None:
        outer = self._grown(32)
        groups = self._groups if grouped else 1
        for stride in self._strides(number):
            middle = self._part(outer, 2.0 if grouped else 5.0, max(8, groups))
            self.layers.append(blocks.Residual(self.channels, outer, stride, self._activation, middle=middle,
                                               groups=groups))  # fmt: skip
            self.channels = outer

    def _inverted(self, number: int) -> None:
        outer = drawn_width(self.channels * 1.2, self.channels * 2.0, self._random)
        fused = number < 2 and self._random.random() < 0.2
        for stride in self._strides(number):
            wider = self._wider if self._equal else self._random.choice((1, 2, 3, 4, 6, 6))
            middle = self.channels * wider
            gate = blocks.Gate(middle, self._part(middle, 24.0), self._gate) if self._gate is not None else None
            self.layers.append(blocks.Inverted(self.channels, outer, stride, self._activation, middle=middle,
                                               kernel=self._kernel, fused=fused, gate=gate))  # fmt: skip
            self.channels = outer

    def _shuffled(self, _number: int) -> None:
        outer = self._grown(16)
        self.layers.append(convolution(self.channels, outer, stride=2, activation=self._activation))
        self.layers += [blocks.Shuffled(outer, self._activation) for _ in range(self._count())]
        self.channels = outer

    def _dense(self, _number: int) -> None:
        for _ in range(self._count() + 2):
            more = self._random.choice((12, 16, 24, 32, 48))
            self.layers.append(blocks.Dense(self.channels, more))
            self.channels += more
        less = self._part(self.channels, 2.0)
        self.layers += [nn.BatchNorm2d(self.channels), nn.ReLU(inplace=True),
                        nn.Conv2d(self.channels, less, 1, bias=False), nn.AvgPool2d(2, 2, ceil_mode=True)]  # fmt: skip
        self.channels = less

    def _branches(self, number: int) -> None:
        self._smaller(number)
        total = self._grown(32)
        several: tuple[tuple[Kernel, ...], ...] = ((3,), (5,), (3, 3), ((1, 3), (3, 1)), ((1, 7), (7, 1)))
        for _ in range(self._count()):
            pool = self._random.choice((nn.MaxPool2d, nn.AvgPool2d))(3, 1, 1)
            outer = [self._part(total // 2, 4.0) for _ in range(4)]
            middle = [self._part(total // 2, 4.0) for _ in range(2)]
            kernels = several[:2] if self._equal else [self._random.choice(several) for _ in range(2)]
            self.layers.append(blocks.Branches(self.channels, outer, middle, self._activation, kernels=kernels,
                                               pool=pool))  # fmt: skip
            self.channels = sum(outer)

    def _squeezed(self, number: int) -> None:
        self._smaller(number)
        half = self._grown(16) // 2
        for _ in range(self._count()):
            self.layers.append(blocks.Squeezed(self.channels, self._part(half, 4.0), half))
            self.channels = 2 * half

    def _plain(self, number: int) -> None:
        self._smaller(number)
        norm = self._random.random() < 0.7
        for _ in range(self._count()):
            outer = drawn_width(self.channels, self.channels * 2.0, self._random)
            self.layers.append(convolution(self.channels, outer, activation=self._activation, norm=norm))
            self.channels = outer

    def _smaller(self, number: int) -> None:
        if number:
            self.layers.append(nn.MaxPool2d(3, 2, 1, ceil_mode=True))
