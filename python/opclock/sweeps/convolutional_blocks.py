"""Blocks of convolutional networks, as usual ones have them, of any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

Activation = Callable[[], nn.Module]
Kernel = int | tuple[int, int]  # size, or height and width
POINT, USUAL = 1, 3  # sizes of kernels
MULTIPLE = 8  # of which narrow widths inside a block are


def narrow(channels: int, part: float, multiple: int = MULTIPLE) -> int:
    """A part of the channels, as a multiple."""
    return max(multiple, round(channels / part) // multiple * multiple)


def convolution(
    inner: int, outer: int, kernel: Kernel = USUAL, stride: int = 1, *, groups: int = 1,
    activation: Activation | None, norm: bool = True,
) -> nn.Sequential:  # fmt: skip
    """A convolution, its normalisation and its activation."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    layers: list[nn.Module] = [nn.Conv2d(inner, outer, (height, width), stride, (height // 2, width // 2),
                                         groups=groups, bias=not norm)]  # fmt: skip
    layers += [nn.BatchNorm2d(outer)] if norm else []
    layers += [activation()] if activation is not None else []
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two convolutions, or three with another width in the middle, around which the input goes too."""

    def __init__(
        self, inner: int, outer: int, stride: int, activation: Activation, *, middle: int | None = None,
        groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if middle is not None:
            self.body = nn.Sequential(
                convolution(inner, middle, POINT, activation=activation),
                convolution(middle, middle, USUAL, stride, groups=groups, activation=activation),
                convolution(middle, outer, POINT, activation=None),
            )
        else:
            self.body = nn.Sequential(
                convolution(inner, outer, USUAL, stride, activation=activation),
                convolution(outer, outer, activation=None),
            )
        same = stride == 1 and inner == outer
        self.around = nn.Identity() if same else convolution(inner, outer, POINT, stride, activation=None)
        self.activation = activation()

    def forward(self, image: Tensor) -> Tensor:
        changed = self.body(image)
        changed += self.around(image)
        result: Tensor = self.activation(changed)
        return result


class Gate(nn.Module):
    """Each channel is scaled by what all of its pixels say."""

    def __init__(self, channels: int, middle: int, gate: Activation) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, middle, POINT), nn.ReLU(inplace=True),
            nn.Conv2d(middle, channels, POINT), gate(),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.layers(image) * image
        return result


class Inverted(nn.Module):
    """A wide middle between two narrow ends: a depthwise convolution, or, fused, a dense one that widens, too."""

    def __init__(
        self, inner: int, outer: int, stride: int, activation: Activation, *, middle: int, kernel: int,
        fused: bool = False, gate: Gate | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if fused:
            layers: list[nn.Module] = [convolution(inner, middle, kernel, stride, activation=activation)]
        else:
            layers = [convolution(inner, middle, POINT, activation=activation)] if middle > inner else []
            layers.append(convolution(middle, middle, kernel, stride, groups=middle, activation=activation))
        layers += [gate] if gate is not None else []
        self.body = nn.Sequential(*layers, convolution(middle, outer, POINT, activation=None))
        self.adds = stride == 1 and inner == outer

    def forward(self, image: Tensor) -> Tensor:
        changed: Tensor = self.body(image)
        return image + changed if self.adds else changed


class Shuffled(nn.Module):
    """One half of the channels is changed, and then their order."""

    def __init__(self, channels: int, activation: Activation) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            convolution(half, half, POINT, activation=activation),
            convolution(half, half, groups=half, activation=None),
            convolution(half, half, POINT, activation=activation),
        )

    def forward(self, image: Tensor) -> Tensor:
        kept, changed = image.chunk(2, dim=1)
        joined = torch.cat((kept, self.body(changed)), dim=1)
        batch, channels, height, width = joined.shape
        turned = joined.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return turned.view(batch, channels, height, width)


class Dense(nn.Module):
    """Some new channels behind all earlier ones."""

    def __init__(self, inner: int, more: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inner), nn.ReLU(inplace=True), nn.Conv2d(inner, 4 * more, POINT, bias=False),
            nn.BatchNorm2d(4 * more), nn.ReLU(inplace=True), nn.Conv2d(4 * more, more, USUAL, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image, self.layers(image)], 1)


class Branches(nn.Module):
    """Four ways beside one another.

    Args:
        inner: channels of the input.
        outer: channels of each of the four ways.
        middle: channels inside the second and inside the third way.
        activation: behind each convolution.
        kernels: of the second and of the third way, one after another.
        pool: first in the fourth way.
    """

    def __init__(
        self, inner: int, outer: Sequence[int], middle: Sequence[int], activation: Activation, *,
        kernels: Sequence[Sequence[Kernel]], pool: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        ways = [convolution(inner, outer[0], POINT, activation=activation)]
        for width, last, some in zip(middle, outer[1:3], kernels, strict=True):
            ends = (*[width] * len(some), last)
            layers = [convolution(*pair, kernel, activation=activation)
                      for pair, kernel in zip(pairwise(ends), some, strict=True)]  # fmt: skip
            ways.append(nn.Sequential(convolution(inner, width, POINT, activation=activation), *layers))
        ways.append(nn.Sequential(pool, convolution(inner, outer[3], POINT, activation=activation)))
        self.ways = nn.ModuleList(ways)

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([way(image) for way in self.ways], 1)


class Squeezed(nn.Module):
    """Few channels, which two convolutions without normalisation widen."""

    def __init__(self, inner: int, few: int, half: int) -> None:
        super().__init__()
        self.few = nn.Conv2d(inner, few, POINT)
        self.first, self.second = nn.Conv2d(few, half, POINT), nn.Conv2d(few, half, USUAL, padding=1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        few = self.activation(self.few(image))
        return torch.cat([self.activation(self.first(few)), self.activation(self.second(few))], 1)


class UNet(nn.Module):
    """Down to a quarter of the side and up again, beside what was there on the way down."""

    def __init__(self, channels: int, *, resized: bool) -> None:
        super().__init__()
        relu: Activation = lambda: nn.ReLU(inplace=True)  # noqa: E731

        def pair(inner: int, outer: int) -> nn.Sequential:
            return nn.Sequential(convolution(inner, outer, activation=relu), convolution(outer, outer, activation=relu))

        widths = [channels, 2 * channels, 4 * channels]
        self.down = nn.ModuleList([pair(inner, outer) for inner, outer in zip([3, *widths], widths, strict=False)])
        self.up, self.joined = nn.ModuleList(), nn.ModuleList()
        for inner, outer in ((widths[2], widths[1]), (widths[1], widths[0])):
            self.up.append(nn.Upsample(scale_factor=2, mode="bilinear") if resized
                           else nn.ConvTranspose2d(inner, outer, 2, 2))  # fmt: skip
            self.joined.append(pair((inner if resized else outer) + outer, outer))
        self.smaller, self.last = nn.MaxPool2d(2), nn.Conv2d(channels, 4, POINT)

    def forward(self, image: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for layers in self.down:
            image = layers(self.smaller(image) if kept else image)
            kept.append(image)
        kept.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            image = joined(torch.cat((up(image), kept.pop()), 1))
        result: Tensor = self.last(image)
        return result
