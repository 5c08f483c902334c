"""DeepLabV3 (Chen et al., arXiv 1706.05587) on MobileNetV2, as in arXiv 1801.04381, section 6.3, for 513x513 inputs.

Stride 16, Pascal's 21 classes; the head has the 1x1 branch and image pooling only, as the paper's mobile variant.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from opclock.models.zoo.layers import ConvNorm
from opclock.models.zoo.mobilenetv2 import IMAGENET_STAGES, features

IMAGE = 513
CLASSES = 21
WIDTH = 256


class DeepLabV3(nn.Module):
    """Computes class scores at a sixteenth of the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*features(2, IMAGENET_STAGES, stride_limit=16))
        channels = IMAGENET_STAGES[-1][1]
        self.local = ConvNorm(channels, WIDTH)
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNorm(channels, WIDTH))
        self.join = nn.Sequential(ConvNorm(2 * WIDTH, WIDTH), nn.Dropout(0.1), nn.Conv2d(WIDTH, CLASSES, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 3, 513, 513) to (batch, 21, 33, 33)."""
        x = self.features(x)
        whole = F.interpolate(self.whole(x), size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.join(torch.cat((self.local(x), whole), 1))

    def postprocess(self, scores: torch.Tensor) -> torch.Tensor:
        """Each pixel's class at the input's size: (batch, 513, 513)."""
        return F.interpolate(scores, size=(IMAGE, IMAGE), mode="bilinear", align_corners=False).argmax(1)


def deeplabv3() -> tuple[nn.Module, torch.Tensor]:
    """Build the model and an example image. It has 2.11 M parameters, as published."""
    return DeepLabV3(), torch.randn(1, 3, IMAGE, IMAGE)
