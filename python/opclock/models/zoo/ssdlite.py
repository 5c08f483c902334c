"""SSDLite on MobileNetV2 (Sandler et al., arXiv 1801.04381, section 6.2) for 320x320 inputs and COCO's 80 classes.

The heads are depthwise separable convolutions on the expansion at stride 16, on the last layer, and on four smaller
maps. Boxes are as in SSD (Liu et al., arXiv 1512.02325).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from opclock.models.zoo.detection import Detections, corners_of, suppress
from opclock.models.zoo.mobilenetv2 import IMAGENET_STAGES, LAST, ConvNorm6, InvertedResidual, features

IMAGE = 320
CLASSES = 81  # COCO's 80, and the background
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))  # hidden and output channels of the smaller maps
ANCHORS = (3, 6, 6, 6, 6, 6)  # boxes at each place of each map
SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)  # of the image's side; the first map also has half of its scale
VARIANCES = (0.1, 0.2)  # in training, offsets and sizes are divided by these
OVERLAP = 0.6


def _separable(channels: int, out: int) -> nn.Module:
    depthwise = ConvNorm6(channels, channels, 3, groups=channels)
    return nn.Sequential(depthwise, nn.Conv2d(channels, out, 1))


def _smaller(channels: int, hidden: int, out: int) -> nn.Module:
    return nn.Sequential(
        ConvNorm6(channels, hidden), ConvNorm6(hidden, hidden, 3, stride=2, groups=hidden), ConvNorm6(hidden, out)
    )


class SSDLite(nn.Module):
    """Computes class scores (batch, anchors, classes) before softmax, and box offsets (batch, anchors, 4)."""

    def __init__(self) -> None:
        super().__init__()
        blocks = features(2, IMAGENET_STAGES)
        # The first head reads the expansion of the block that goes from stride 16 to 32.
        split = next(i for i, block in enumerate(blocks) if isinstance(block, InvertedResidual) and block.out == 160)
        turning = blocks[split]
        assert isinstance(turning, InvertedResidual)
        self.before = nn.Sequential(*blocks[:split])
        self.expand, self.rest = turning.residual[0], turning.residual[1:]
        self.after = nn.Sequential(*blocks[split + 1 :], ConvNorm6(IMAGENET_STAGES[-1][1], LAST))
        widths = [96 * 6, LAST, *(out for _, out in EXTRAS)]
        self.extras = nn.ModuleList(
            _smaller(channels, hidden, out) for channels, (hidden, out) in zip(widths[1:], EXTRAS, strict=False)
        )
        self.classes = nn.ModuleList(
            _separable(width, count * CLASSES) for width, count in zip(widths, ANCHORS, strict=True)
        )
        self.offsets = nn.ModuleList(_separable(width, count * 4) for width, count in zip(widths, ANCHORS, strict=True))
        self.anchors = anchors()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, 3, 320, 320) to scores and offsets of 2,034 anchors."""
        wide = self.expand(self.before(x))
        maps = [wide, self.after(self.rest(wide))]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return _by_anchor(self.classes, maps, CLASSES), _by_anchor(self.offsets, maps, 4)

    def postprocess(self, outputs: tuple[torch.Tensor, torch.Tensor]) -> list[Detections]:
        """Apply softmax, decode the boxes, and suppress overlapping ones, for each image."""
        scores, offsets = outputs[0].softmax(-1)[..., 1:], outputs[1]
        centres = self.anchors[:, :2] + offsets[..., :2] * VARIANCES[0] * self.anchors[:, 2:]
        sizes = self.anchors[:, 2:] * (offsets[..., 2:] * VARIANCES[1]).exp()
        boxes = corners_of(centres, sizes) * IMAGE
        return [suppress(boxes[i], scores[i], OVERLAP) for i in range(len(boxes))]


def _by_anchor(heads: nn.ModuleList, maps: list[torch.Tensor], width: int) -> torch.Tensor:
    rows = [
        head(each).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, width))
        for head, each in zip(heads, maps, strict=True)
    ]
    return torch.cat(rows, 1)


def anchors() -> torch.Tensor:
    """Compute the default boxes (SSD, section 2.2): centre and size as fractions of the image, anchors x 4."""
    rows = []
    side = math.ceil(IMAGE / 16)
    for level, count in enumerate(ANCHORS):
        scale = SCALES[level]
        if count == 3:
            shapes = [(scale / 2, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            between = math.sqrt(scale * SCALES[level + 1])
            shapes = [(scale, 1.0), (scale, 2.0), (scale, 0.5), (scale, 3.0), (scale, 1 / 3), (between, 1.0)]
        for y in range(side):
            for x in range(side):
                for size, ratio in shapes:
                    wide, high = size * math.sqrt(ratio), size / math.sqrt(ratio)
                    rows.append(((x + 0.5) / side, (y + 0.5) / side, wide, high))
        side = math.ceil(side / 2)
    return torch.tensor(rows)


def ssdlite() -> tuple[nn.Module, torch.Tensor]:
    """Build the model and an example image. It has 4.3 M parameters, as published."""
    return SSDLite(), torch.randn(1, 3, IMAGE, IMAGE)
