"""Inception-v3 (Szegedy et al., arXiv 1512.00567) for 32x32 inputs, without the auxiliary classifier.

The stem's three halvings are left out: its convolutions keep the image's size, so that the modules see 32, 16 and 8
pixels. The modules have the widths of the published network.
"""

from __future__ import annotations

from torch import nn

from opclock.models.zoo.layers import IMAGENET_CLASSES, Branches, Classifier, ConvNorm


def _pooled(channels: int, out: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), ConvNorm(channels, out))


def _across(channels: int, out: int, length: int) -> ConvNorm:
    """A convolution with a kernel of one row and ``length`` columns."""
    return ConvNorm(channels, out, (1, length), padding=(0, length // 2))


def _down(channels: int, out: int, length: int) -> ConvNorm:
    """A convolution with a kernel of ``length`` rows and one column."""
    return ConvNorm(channels, out, (length, 1), padding=(length // 2, 0))


def module_a(channels: int, pool: int) -> nn.Module:
    """Figure 5: two 3x3 convolutions replace a 5x5."""
    return Branches([
        ConvNorm(channels, 64),
        nn.Sequential(ConvNorm(channels, 48), ConvNorm(48, 64, 5, padding=2)),
        nn.Sequential(ConvNorm(channels, 64), ConvNorm(64, 96, 3, padding=1), ConvNorm(96, 96, 3, padding=1)),
        _pooled(channels, pool),
    ])  # fmt: skip


def reduction_a(channels: int) -> nn.Module:
    """Halves the image."""
    return Branches([
        ConvNorm(channels, 384, 3, stride=2),
        nn.Sequential(ConvNorm(channels, 64), ConvNorm(64, 96, 3, padding=1), ConvNorm(96, 96, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    ])  # fmt: skip


def module_b(channels: int, width: int) -> nn.Module:
    """Figure 6: 1x7 and 7x1 convolutions replace a 7x7."""
    return Branches([
        ConvNorm(channels, 192),
        nn.Sequential(ConvNorm(channels, width), _across(width, width, 7), _down(width, 192, 7)),
        nn.Sequential(ConvNorm(channels, width), _down(width, width, 7), _across(width, width, 7),
                      _down(width, width, 7), _across(width, 192, 7)),
        _pooled(channels, 192),
    ])  # fmt: skip


def reduction_b(channels: int) -> nn.Module:
    """Halves the image."""
    return Branches([
        nn.Sequential(ConvNorm(channels, 192), ConvNorm(192, 320, 3, stride=2)),
        nn.Sequential(ConvNorm(channels, 192), _across(192, 192, 7), _down(192, 192, 7),
                      ConvNorm(192, 192, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    ])  # fmt: skip


def module_c(channels: int) -> nn.Module:
    """Figure 7: 1x3 and 3x1 convolutions side by side replace a 3x3."""
    return Branches([
        ConvNorm(channels, 320),
        nn.Sequential(ConvNorm(channels, 384), Branches([_across(384, 384, 3), _down(384, 384, 3)])),
        nn.Sequential(ConvNorm(channels, 448), ConvNorm(448, 384, 3, padding=1),
                      Branches([_across(384, 384, 3), _down(384, 384, 3)])),
        _pooled(channels, 192),
    ])  # fmt: skip


def inceptionv3() -> nn.Module:
    """Build the model. It has 22.0 M parameters, 1.5 % fewer than the published 22.3 M."""
    stem = [ConvNorm(3, 32, 3, padding=1), ConvNorm(32, 32, 3, padding=1), ConvNorm(32, 64, 3, padding=1),
            ConvNorm(64, 80), ConvNorm(80, 192, 3)]  # fmt: skip
    return nn.Sequential(*stem, *_modules(), Classifier(2048, dropout=0.5))


def inceptionv3_299() -> nn.Module:
    """Build it with the stem of table 1, for 299x299 inputs and 1000 classes: 23.8 M parameters, as published."""
    stem = [ConvNorm(3, 32, 3, stride=2), ConvNorm(32, 32, 3), ConvNorm(32, 64, 3, padding=1), nn.MaxPool2d(3, 2),
            ConvNorm(64, 80), ConvNorm(80, 192, 3), nn.MaxPool2d(3, 2)]  # fmt: skip
    return nn.Sequential(*stem, *_modules(), Classifier(2048, dropout=0.5, classes=IMAGENET_CLASSES))


def _modules() -> list[nn.Module]:
    """192 to 2048 channels; halves the image twice."""
    return [
        module_a(192, 32), module_a(256, 64), module_a(288, 64), reduction_a(288),
        module_b(768, 128), module_b(768, 160), module_b(768, 160), module_b(768, 192), reduction_b(768),
        module_c(1280), module_c(2048),
    ]  # fmt: skip
