"""ShuffleNet (Zhang et al., arXiv 1707.01083), 3 groups, for 32x32 inputs.

The stem is one 3x3 convolution without stride and pooling. The stages have 240, 480 and 960 output channels, as in the
paper's table 1. The bottleneck has a quarter of the output channels.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, Classifier, ConvNorm

GROUPS = 3
STEM = 24
STAGES = ((240, 4), (480, 8), (960, 4))  # output channels, blocks


class ChannelShuffle(nn.Module):
    """Distributes the channels of each group over all groups."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keeps the shape."""
        batch, channels, height, width = x.shape
        dealt = x.view(batch, GROUPS, channels // GROUPS, height, width).transpose(1, 2)
        return dealt.reshape(batch, channels, height, width)


class Unit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1. The input is added, or pooled and concatenated at a stride."""

    def __init__(self, channels: int, out: int, stride: int, *, first_groups: int) -> None:
        super().__init__()
        hidden = out // 4
        residual_out = out - channels if stride == 2 else out
        self.residual = nn.Sequential(
            ConvNorm(channels, hidden, groups=first_groups),
            ChannelShuffle(),
            ConvNorm(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, activation=False),
            ConvNorm(hidden, residual_out, groups=GROUPS, activation=False),
        )
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, out, H / stride, W / stride)."""
        beside, residual = self.shortcut(x), self.residual(x)
        return torch.relu(torch.cat((beside, residual), 1) if self.stride == 2 else beside + residual)


def shufflenet() -> nn.Module:
    """Build the model. It has 1.0 M parameters."""
    return _shufflenet([ConvNorm(3, STEM, 3, padding=1)], CLASSES)


def shufflenet_224() -> nn.Module:
    """Build it with the paper's stem, for 224x224 inputs and 1000 classes: 1.87 M parameters."""
    stem = [ConvNorm(3, STEM, 3, stride=2, padding=1), nn.MaxPool2d(3, stride=2, padding=1)]
    return _shufflenet(stem, IMAGENET_CLASSES)


def _shufflenet(stem: list[nn.Module], classes: int) -> nn.Module:
    layers = [*stem]
    channels = STEM
    for number, (out, blocks) in enumerate(STAGES):
        for block in range(blocks):
            # The paper does not group the first 1x1 convolution: it has too few input channels.
            first_groups = 1 if number == 0 and block == 0 else GROUPS
            layers.append(Unit(channels, out, 2 if block == 0 else 1, first_groups=first_groups))
            channels = out
    return nn.Sequential(*layers, Classifier(channels, classes=classes))
