"""MobileNetV2 (Sandler et al., arXiv 1801.04381) for 32x32 inputs: inverted residuals with linear bottlenecks.

The stem and the second stage keep the image's size, so that three halvings remain.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES

# Expansion, output channels, repeats and stride of each stage, from the paper's table 2.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
IMAGENET_STAGES = (STAGES[0], (6, 24, 2, 2), *STAGES[2:])
LAST = 1280


class ConvNorm6(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, dilation: int = 1
    ) -> None:
        padding = kernel // 2 * dilation
        convolution = nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expands the channels, filters each, and projects them. The input is added where shapes allow."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int, dilation: int = 1) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = nn.Sequential(
            *([ConvNorm6(channels, hidden)] if expansion > 1 else []),
            ConvNorm6(hidden, hidden, 3, stride=stride, groups=hidden, dilation=dilation),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and channels == out
        self.out = out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H / stride, W / stride)."""
        return x + self.residual(x) if self.adds else self.residual(x)


def mobilenetv2() -> nn.Module:
    """Build the model. It has 2.35 M parameters."""
    return _mobilenetv2(1, STAGES, CLASSES)


def mobilenetv2_224() -> nn.Module:
    """Build it with the paper's strides, for 224x224 inputs and 1000 classes: 3.5 M parameters (published: 3.4 M)."""
    return _mobilenetv2(2, IMAGENET_STAGES, IMAGENET_CLASSES)


def features(stem_stride: int, stages: tuple[tuple[int, ...], ...], *, stride_limit: int = 32) -> list[nn.Module]:
    """The stem and the blocks. Where the total stride would exceed the limit, convolutions are dilated instead."""
    layers: list[nn.Module] = [ConvNorm6(3, 32, 3, stride=stem_stride)]
    channels, reached, dilation = 32, stem_stride, 1
    for expansion, out, repeats, first in stages:
        for repeat in range(repeats):
            stride = first if repeat == 0 else 1
            if reached * stride > stride_limit:
                stride, dilation = 1, dilation * stride
            reached *= stride
            layers.append(InvertedResidual(channels, out, stride, expansion, dilation))
            channels = out
    return layers


def _mobilenetv2(stem_stride: int, stages: tuple[tuple[int, ...], ...], classes: int) -> nn.Module:
    head = [ConvNorm6(stages[-1][1], LAST), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(LAST, classes)]
    return nn.Sequential(*features(stem_stride, stages), *head)
