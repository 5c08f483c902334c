"""MobileNet (Howard et al., arXiv 1704.04861) for 32x32 inputs: depthwise separable convolutions.

The stem keeps the image's size; the paper's four other halvings leave 2x2 pixels at the end.
"""

from __future__ import annotations

from torch import nn

from opclock.models.zoo.layers import CLASSES, IMAGENET_CLASSES, Classifier, ConvNorm

# Output channels and stride of each separable convolution, from the paper's table 1.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def mobilenet() -> nn.Module:
    """Build the model. It has 3.3 M parameters."""
    return _mobilenet(1, CLASSES)


def mobilenet_224() -> nn.Module:
    """Build it with the paper's stem, for 224x224 inputs and 1000 classes: 4.2 M parameters, as published."""
    return _mobilenet(2, IMAGENET_CLASSES)


def _mobilenet(stride: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = [ConvNorm(3, 32, 3, stride=stride, padding=1)]
    channels = 32
    for out, shrink in BLOCKS:
        layers += [ConvNorm(channels, channels, 3, stride=shrink, padding=1, groups=channels), ConvNorm(channels, out)]
        channels = out
    return nn.Sequential(*layers, Classifier(channels, classes=classes))
