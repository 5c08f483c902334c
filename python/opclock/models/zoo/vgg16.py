"""VGG16 with batch norm (Simonyan & Zisserman, arXiv 1409.1556, configuration D) for 32x32 inputs.

Five halvings leave one pixel, so the first linear layer sees 512 features instead of 25,088; the two hidden layers
keep the paper's 4,096 units.
"""

from __future__ import annotations

from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, ConvNorm

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16() -> nn.Module:
    """Build the model. It has 34.0 M parameters."""
    return _vgg16(pixels=1, classes=CLASSES)


def vgg16_224() -> nn.Module:
    """Build it for the paper's 224x224 inputs and 1000 classes: 138.4 M parameters, as published."""
    return _vgg16(pixels=49, classes=IMAGENET_CLASSES)


def _vgg16(*, pixels: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for stage in STAGES:
        for out in stage:
            layers.append(ConvNorm(channels, out, 3, padding=1, bias=True))
            channels = out
        layers.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(512 * pixels, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 4096),
            nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, classes)]  # fmt: skip
    return nn.Sequential(nn.Sequential(*layers), nn.Sequential(*head))
