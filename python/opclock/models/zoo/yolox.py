"""YOLOX-Tiny (Ge et al., arXiv 2107.08430) for 416x416 inputs and COCO's 80 classes.

A one-stage detector without anchors: CSPDarknet with Focus and spatial pyramid pooling, a path aggregation network, and
a head with separate branches for class and box. It has a third of the full depth and 3/8 of the full width.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.models.zoo.detection import Detections, corners_of, suppress

IMAGE = 416
CLASSES = 80
BASE = 24  # 3/8 of 64 channels
HEAD = 96  # 3/8 of 256
STRIDES = (8, 16, 32)
OVERLAP = 0.65


class ConvSiLU(nn.Sequential):
    """Convolution, batch norm, SiLU. Only the stride changes the image's size."""

    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.SiLU(inplace=True))


class Focus(nn.Module):
    """Moves each 2x2 block of pixels into channels, then a convolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convolution = ConvSiLU(4 * channels, out, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H / 2, W / 2)."""
        quarters = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
        return self.convolution(torch.cat(quarters, 1))


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolutions; the input is added where ``adds``."""

    def __init__(self, channels: int, *, adds: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(ConvSiLU(channels, channels), ConvSiLU(channels, channels, 3))
        self.adds = adds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keeps the shape."""
        return x + self.residual(x) if self.adds else self.residual(x)


class CrossStage(nn.Module):
    """Sends half of the channels through bottlenecks and half past them (CSPNet, arXiv 1911.11929)."""

    def __init__(self, channels: int, out: int, count: int, *, adds: bool = True) -> None:
        super().__init__()
        half = out // 2
        through = [Bottleneck(half, adds=adds) for _ in range(count)]
        self.through = nn.Sequential(ConvSiLU(channels, half), *through)
        self.past = ConvSiLU(channels, half)
        self.join = ConvSiLU(2 * half, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H, W)."""
        return self.join(torch.cat((self.through(x), self.past(x)), 1))


class PyramidPooling(nn.Module):
    """Concatenates the input with its maxima over 5x5, 9x9 and 13x13 pixels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = ConvSiLU(channels, half)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))
        self.leave = ConvSiLU(4 * half, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H, W)."""
        x = self.enter(x)
        return self.leave(torch.cat((x, *(pool(x) for pool in self.pools)), 1))


class Pyramid(nn.Module):
    """Backbone and path aggregation: features at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        b = BASE
        self.stride8 = nn.Sequential(
            Focus(3, b), ConvSiLU(b, 2 * b, 3, 2), CrossStage(2 * b, 2 * b, 1), ConvSiLU(2 * b, 4 * b, 3, 2),
            CrossStage(4 * b, 4 * b, 3),
        )  # fmt: skip
        self.stride16 = nn.Sequential(ConvSiLU(4 * b, 8 * b, 3, 2), CrossStage(8 * b, 8 * b, 3))
        self.stride32 = nn.Sequential(
            ConvSiLU(8 * b, 16 * b, 3, 2), PyramidPooling(16 * b, 16 * b), CrossStage(16 * b, 16 * b, 1, adds=False)
        )
        self.narrow32, self.narrow16 = ConvSiLU(16 * b, 8 * b), ConvSiLU(8 * b, 4 * b)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.merge16 = CrossStage(16 * b, 8 * b, 1, adds=False)
        self.merge8 = CrossStage(8 * b, 4 * b, 1, adds=False)
        self.down8, self.down16 = ConvSiLU(4 * b, 4 * b, 3, 2), ConvSiLU(8 * b, 8 * b, 3, 2)
        self.out16 = CrossStage(8 * b, 8 * b, 1, adds=False)
        self.out32 = CrossStage(16 * b, 16 * b, 1, adds=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(batch, 3, 416, 416) to 96 channels of 52 pixels, 192 of 26 and 384 of 13."""
        low = self.stride8(x)
        middle = self.stride16(low)
        top = self.narrow32(self.stride32(middle))
        middle = self.narrow16(self.merge16(torch.cat((self.up(top), middle), 1)))
        low = self.merge8(torch.cat((self.up(middle), low), 1))
        middle = self.out16(torch.cat((self.down8(low), middle), 1))
        return low, middle, self.out32(torch.cat((self.down16(middle), top), 1))


class Head(nn.Module):
    """The head for one stride: box, objectness and classes at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = ConvSiLU(channels, HEAD)
        self.what = nn.Sequential(ConvSiLU(HEAD, HEAD, 3), ConvSiLU(HEAD, HEAD, 3))
        self.where = nn.Sequential(ConvSiLU(HEAD, HEAD, 3), ConvSiLU(HEAD, HEAD, 3))
        self.classes, self.box, self.thing = (nn.Conv2d(HEAD, out, 1) for out in (CLASSES, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, 85, H * W)."""
        x = self.stem(x)
        what, where = self.what(x), self.where(x)
        predictions = (self.box(where), self.thing(where).sigmoid(), self.classes(what).sigmoid())
        return torch.cat(predictions, 1).flatten(2)


class YOLOX(nn.Module):
    """Computes box offsets, objectness and class probabilities at 3,549 places: (batch, 3549, 85)."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid = Pyramid()
        self.heads = nn.ModuleList(Head(BASE * width) for width in (4, 8, 16))
        self.places, self.strides = places()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 3, 416, 416) to (batch, 3549, 85)."""
        maps = zip(self.heads, self.pyramid(x), strict=True)
        return torch.cat([head(features) for head, features in maps], 2).permute(0, 2, 1)

    def postprocess(self, output: torch.Tensor) -> list[Detections]:
        """Decode the boxes and suppress overlapping ones, for each image."""
        centres = (output[..., :2] + self.places) * self.strides
        boxes = corners_of(centres, output[..., 2:4].exp() * self.strides)
        scores = output[..., 4:5] * output[..., 5:]
        return [suppress(boxes[i], scores[i], OVERLAP) for i in range(len(boxes))]


def places() -> tuple[torch.Tensor, torch.Tensor]:
    """Compute column and row (places x 2) and stride (places x 1) of each place."""
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(*(torch.arange(IMAGE // stride) for _ in range(2)), indexing="ij")
        grids.append(torch.stack((columns, rows), 2).reshape(-1, 2))
        strides.append(torch.full((len(grids[-1]), 1), float(stride)))
    return torch.cat(grids).float(), torch.cat(strides)


def yolox() -> tuple[nn.Module, torch.Tensor]:
    """Build the model and an example image. It has 5.06 M parameters, as published."""
    return YOLOX(), torch.randn(1, 3, IMAGE, IMAGE)
