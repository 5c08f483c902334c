"""Blocks that several models of the zoo use."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

CLASSES = 100  # CIFAR-100 has 100 classes
IMAGENET_CLASSES = 1000


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, ReLU (none where ``activation`` is false)."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = False,
        activation: bool = True,
    ) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride=stride, padding=padding, groups=groups, bias=bias)
        layers: list[nn.Module] = [convolution, nn.BatchNorm2d(out)]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activation else []))


class Branches(nn.Module):
    """Runs every branch on the same input and concatenates their channels."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) to (batch, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Classifier(nn.Sequential):
    """A mean over the image, then one linear layer."""

    def __init__(self, channels: int, *, dropout: float = 0.0, classes: int = CLASSES) -> None:
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(channels, classes))
