"""ShuffleNetV2 (Ma et al., arXiv 1807.11164), width 1x, for 32x32 inputs.

The stem is one 3x3 convolution without stride and pooling. Channels are from the paper's table 5.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, Classifier, ConvNorm

STEM = 24
STAGES = ((116, 4), (232, 8), (464, 4))  # output channels, blocks
LAST = 1024


def shuffle(x: torch.Tensor) -> torch.Tensor:
    """Interleave the two halves of the channels. The shape is kept."""
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def _filtered(channels: int, out: int, stride: int) -> list[nn.Module]:
    depthwise = ConvNorm(channels, channels, 3, stride=stride, padding=1, groups=channels, activation=False)
    return [depthwise, ConvNorm(channels, out)]


class Unit(nn.Module):
    """Filters half of the channels and passes the others on. At a stride it filters all, and the channels double."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        half = out // 2
        entering = channels if stride == 2 else channels // 2
        self.residual = nn.Sequential(ConvNorm(entering, half), *_filtered(half, half, stride))
        self.shortcut = nn.Sequential(*_filtered(entering, half, stride)) if stride == 2 else nn.Identity()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H / stride, W / stride)."""
        passing, filtered = (x, x) if self.stride == 2 else x.chunk(2, 1)
        return shuffle(torch.cat((self.shortcut(passing), self.residual(filtered)), 1))


def shufflenetv2() -> nn.Module:
    """Build the model. It has 1.36 M parameters, within 5 % of the published 1.3 M.

    With 100 classes, the paper's convolutions (no bias) and its last layer of 1,024 channels have 1.356 M.
    """
    return _shufflenetv2([ConvNorm(3, STEM, 3, padding=1)], CLASSES)


def shufflenetv2_224() -> nn.Module:
    """Build it with the paper's stem, for 224x224 inputs and 1000 classes: 2.28 M parameters."""
    stem = [ConvNorm(3, STEM, 3, stride=2, padding=1), nn.MaxPool2d(3, stride=2, padding=1)]
    return _shufflenetv2(stem, IMAGENET_CLASSES)


def _shufflenetv2(stem: list[nn.Module], classes: int) -> nn.Module:
    layers = [*stem]
    channels = STEM
    for out, blocks in STAGES:
        for block in range(blocks):
            layers.append(Unit(channels, out, 2 if block == 0 else 1))
            channels = out
    return nn.Sequential(*layers, ConvNorm(channels, LAST), Classifier(LAST, classes=classes))
