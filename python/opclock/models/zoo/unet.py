"""U-Net (Ronneberger et al., arXiv 1505.04597) for 256x256 inputs with three channels, and two classes.

Convolutions are padded, as in most later networks of this design, so that maps need no cropping. Weights are
initialised as in the paper's section 3, which keeps the variance of activations without batch norm.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

IMAGE = 256
CLASSES = 2
WIDTHS = (64, 128, 256, 512, 1024)


def _twice(channels: int, out: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1), nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    """Computes class scores at the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_twice(channels, out) for channels, out in zip((3, *WIDTHS), WIDTHS, strict=False))
        upwards = WIDTHS[::-1]
        pairs = list(pairwise(upwards))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(channels, out, 2, stride=2) for channels, out in pairs)
        self.up = nn.ModuleList(_twice(channels, out) for channels, out in pairs)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(WIDTHS[0], CLASSES, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 3, 256, 256) to (batch, 2, 256, 256)."""
        passed = []
        for level, twice in enumerate(self.down):
            x = twice(self.pool(x) if level else x)
            passed.append(x)
        for grow, twice, beside in zip(self.grow, self.up, passed[-2::-1], strict=True):
            x = twice(torch.cat((beside, grow(x)), 1))
        return self.last(x)

    def postprocess(self, scores: torch.Tensor) -> torch.Tensor:
        """Each pixel's class: (batch, 256, 256)."""
        return scores.argmax(1)


def unet() -> tuple[nn.Module, torch.Tensor]:
    """Build the model and an example image. It has 31.0 M parameters, as published."""
    return UNet(), torch.randn(1, 3, IMAGE, IMAGE)
