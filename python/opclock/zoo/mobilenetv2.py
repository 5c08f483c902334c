"""MobileNetV2 (Sandler et al., arXiv 1801.04381) for 32x32 inputs: inverted residuals with linear bottlenecks.

The stem and the second stage keep the image's size, so that three halvings remain.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.zoo.layers import CLASSES

# Expansion, output channels, repeats and stride of each stage, from the paper's table 2.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST = 1280


class ConvNorm6(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, channels: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the input is added where shapes allow."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = nn.Sequential(
            *([ConvNorm6(channels, hidden)] if expansion > 1 else []),
            ConvNorm6(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H / stride, W / stride)."""
        return x + self.residual(x) if self.adds else self.residual(x)


def mobilenetv2() -> nn.Module:
    """2.35 M parameters."""
    layers: list[nn.Module] = [ConvNorm6(3, 32, 3)]
    channels = 32
    for expansion, out, repeats, stride in STAGES:
        for repeat in range(repeats):
            layers.append(InvertedResidual(channels, out, stride if repeat == 0 else 1, expansion))
            channels = out
    head = [ConvNorm6(channels, LAST), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(LAST, CLASSES)]
    return nn.Sequential(*layers, *head)
