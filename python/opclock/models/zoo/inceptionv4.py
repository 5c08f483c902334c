"""Inception-v4 (Szegedy et al., arXiv 1602.07261) for 32x32 inputs.

The stem (figure 3) keeps the image's size where the paper halves it. As in figure 9, there are 4 modules A, 7 modules B
and 3 modules C (figures 4 to 6) with reductions (figures 7 and 8) between them.
"""

from __future__ import annotations

from torch import nn

from opclock.models.zoo.inceptionv3 import _across, _down, _pooled
from opclock.models.zoo.layers import IMAGENET_CLASSES, Branches, Classifier, ConvNorm


def stem(*, halving: bool) -> nn.Module:
    """The stem of figure 3, from 3 to 384 channels.

    Without halving, convolutions are padded. The only one without padding shrinks the image from 32 to 30 pixels.
    """
    stride, padding = (2, 0) if halving else (1, 1)
    return nn.Sequential(
        ConvNorm(3, 32, 3, stride=stride, padding=padding), ConvNorm(32, 32, 3, padding=padding),
        ConvNorm(32, 64, 3, padding=1),
        Branches([nn.MaxPool2d(3, stride, padding), ConvNorm(64, 96, 3, stride=stride, padding=padding)]),
        Branches([
            nn.Sequential(ConvNorm(160, 64), ConvNorm(64, 96, 3)),
            nn.Sequential(ConvNorm(160, 64), _across(64, 64, 7), _down(64, 64, 7), ConvNorm(64, 96, 3)),
        ]),
        Branches([ConvNorm(192, 192, 3, stride=stride, padding=padding), nn.MaxPool2d(3, stride, padding)]),
    )  # fmt: skip


def module_a() -> nn.Module:
    """384 channels in and out."""
    return Branches([
        _pooled(384, 96),
        ConvNorm(384, 96),
        nn.Sequential(ConvNorm(384, 64), ConvNorm(64, 96, 3, padding=1)),
        nn.Sequential(ConvNorm(384, 64), ConvNorm(64, 96, 3, padding=1), ConvNorm(96, 96, 3, padding=1)),
    ])  # fmt: skip


def reduction_a() -> nn.Module:
    """384 to 1024 channels; halves the image. k, l, m, n = 192, 224, 256, 384 (table 1)."""
    return Branches([
        nn.MaxPool2d(3, stride=2),
        ConvNorm(384, 384, 3, stride=2),
        nn.Sequential(ConvNorm(384, 192), ConvNorm(192, 224, 3, padding=1), ConvNorm(224, 256, 3, stride=2)),
    ])  # fmt: skip


def module_b() -> nn.Module:
    """1024 channels in and out."""
    return Branches([
        _pooled(1024, 128),
        ConvNorm(1024, 384),
        nn.Sequential(ConvNorm(1024, 192), _across(192, 224, 7), _down(224, 256, 7)),
        nn.Sequential(ConvNorm(1024, 192), _across(192, 192, 7), _down(192, 224, 7), _across(224, 224, 7),
                      _down(224, 256, 7)),
    ])  # fmt: skip


def reduction_b() -> nn.Module:
    """1024 to 1536 channels; halves the image."""
    return Branches([
        nn.MaxPool2d(3, stride=2),
        nn.Sequential(ConvNorm(1024, 192), ConvNorm(192, 192, 3, stride=2)),
        nn.Sequential(ConvNorm(1024, 256), _across(256, 256, 7), _down(256, 320, 7), ConvNorm(320, 320, 3, stride=2)),
    ])  # fmt: skip


def module_c() -> nn.Module:
    """1536 channels in and out."""
    return Branches([
        _pooled(1536, 256),
        ConvNorm(1536, 256),
        nn.Sequential(ConvNorm(1536, 384), Branches([_across(384, 256, 3), _down(384, 256, 3)])),
        nn.Sequential(ConvNorm(1536, 384), _across(384, 448, 3), _down(448, 512, 3),
                      Branches([_down(512, 256, 3), _across(512, 256, 3)])),
    ])  # fmt: skip


def inceptionv4() -> nn.Module:
    """Build the model. It has 41.3 M parameters."""
    return nn.Sequential(stem(halving=False), *_modules(), Classifier(1536, dropout=0.2))


def inceptionv4_299() -> nn.Module:
    """Build it with the paper's stem, for 299x299 inputs and 1000 classes: 42.7 M parameters, as published."""
    return nn.Sequential(stem(halving=True), *_modules(), Classifier(1536, dropout=0.2, classes=IMAGENET_CLASSES))


def _modules() -> list[nn.Module]:
    """384 to 1536 channels; halves the image twice."""
    return [
        *[module_a() for _ in range(4)], reduction_a(),
        *[module_b() for _ in range(7)], reduction_b(),
        *[module_c() for _ in range(3)],
    ]  # fmt: skip
