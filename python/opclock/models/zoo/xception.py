"""Xception (Chollet, arXiv 1610.02357) for 32x32 inputs.

The entry flow has a stem that keeps the image's size. Eight middle blocks and the exit flow follow, as in the paper's
figure 5.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, Classifier, ConvNorm

MIDDLE_BLOCKS = 8


class Separable(nn.Sequential):
    """Depthwise 3x3, then 1x1 to ``out`` channels, then batch norm."""

    def __init__(self, channels: int, out: int) -> None:
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        super().__init__(depthwise, nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))


class Block(nn.Module):
    """Separable convolutions, each after a ReLU, then pooling by two where ``pools``. The input is added."""

    def __init__(self, widths: tuple[int, ...], *, pools: bool, first_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (channels, out) in enumerate(pairwise(widths)):
            if number > 0 or first_relu:
                layers.append(nn.ReLU())
            layers.append(Separable(channels, out))
        if pools:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.residual = nn.Sequential(*layers)
        self.shortcut = ConvNorm(widths[0], widths[-1], stride=2, activation=False) if pools else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, widths[0], H, W) to (batch, widths[-1], H / 2 where it pools, W likewise)."""
        return self.residual(x) + self.shortcut(x)


def xception() -> nn.Module:
    """Build the model. It has 21.0 M parameters."""
    return _xception([ConvNorm(3, 32, 3, padding=1), ConvNorm(32, 64, 3, padding=1)], CLASSES)


def xception_299() -> nn.Module:
    """Build it with the paper's stem, for 299x299 inputs and 1000 classes: 22.9 M parameters, as published."""
    return _xception([ConvNorm(3, 32, 3, stride=2), ConvNorm(32, 64, 3)], IMAGENET_CLASSES)


def _xception(stem: list[nn.Module], classes: int) -> nn.Module:
    entry = [
        Block((64, 128, 128), pools=True, first_relu=False),
        Block((128, 256, 256), pools=True),
        Block((256, 728, 728), pools=True),
    ]
    middle = [Block((728, 728, 728, 728), pools=False) for _ in range(MIDDLE_BLOCKS)]
    leave = [Block((728, 728, 1024), pools=True), Separable(1024, 1536), nn.ReLU(inplace=True),
             Separable(1536, 2048), nn.ReLU(inplace=True)]  # fmt: skip
    return nn.Sequential(*stem, *entry, *middle, *leave, Classifier(2048, classes=classes))
