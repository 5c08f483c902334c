"""ResNet50 (He et al., arXiv 1512.03385) for 32x32 inputs, and its squeeze-and-excitation form (arXiv 1709.01507).

The stem is one 3x3 convolution without stride and pooling, as in the paper's CIFAR networks.
"""

from __future__ import annotations

import torch
from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, Classifier, ConvNorm

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride of the first
EXPANSION = 4
REDUCTION = 16  # of the squeeze-and-excitation bottleneck


class SqueezeExcitation(nn.Module):
    """Weights the channels by a function of their means over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.weigh = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keeps the shape."""
        return x * self.weigh(self.pool(x)).view(x.shape[0], -1, 1, 1)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; the input is added."""

    def __init__(self, channels: int, width: int, stride: int, *, excited: bool) -> None:
        super().__init__()
        out = width * EXPANSION
        self.residual = nn.Sequential(
            ConvNorm(channels, width),
            ConvNorm(width, width, 3, stride=stride, padding=1),
            ConvNorm(width, out, activation=False),
            *([SqueezeExcitation(out)] if excited else []),
        )
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else ConvNorm(channels, out, stride=stride, activation=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, 4 * width, H / stride, W / stride)."""
        return torch.relu(self.residual(x) + self.shortcut(x))


def _resnet50(stem: list[nn.Module], classes: int, *, excited: bool) -> nn.Module:
    blocks: list[nn.Module] = []
    channels = 64
    for width, count, stride in STAGES:
        for block in range(count):
            blocks.append(Bottleneck(channels, width, stride if block == 0 else 1, excited=excited))
            channels = width * EXPANSION
    return nn.Sequential(*stem, nn.Sequential(*blocks), Classifier(channels, classes=classes))


def resnet50_32(*, excited: bool) -> nn.Module:
    """Build it for 32x32 inputs and 100 classes, with or without squeeze and excitation."""
    return _resnet50([ConvNorm(3, 64, 3, padding=1)], CLASSES, excited=excited)


def resnet50_224(*, excited: bool = False) -> nn.Module:
    """Build it with the paper's stem, for 224x224 inputs and 1000 classes: 25.6 M parameters, 28.1 M if excited."""
    stem = [ConvNorm(3, 64, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)]
    return _resnet50(stem, IMAGENET_CLASSES, excited=excited)


def resnet50() -> nn.Module:
    """Build the model. It has 23.7 M parameters."""
    return resnet50_32(excited=False)
