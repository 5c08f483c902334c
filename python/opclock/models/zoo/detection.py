"""Post-processing of detectors: decodes boxes and suppresses overlapping ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch

CANDIDATES = 300  # per image, before suppression
DETECTIONS = 100  # per image, after it
SCORE = 0.01


@dataclass(frozen=True)
class Detections:
    """Detections in one image: boxes (n x 4, corners in pixels), scores (n), labels (n); highest score first."""

    boxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor


def suppress(boxes: torch.Tensor, scores: torch.Tensor, overlap: float) -> Detections:
    """Greedy non-maximum suppression by class, as in SSD (arXiv 1512.02325).

    A box is removed if a kept box of its class with a higher score overlaps it by more than ``overlap``. The rule is
    applied to all boxes at once until nothing changes; each pass decides at least one more box.

    Args:
        boxes: candidates of one image, n x 4, as corners in pixels.
        scores: of the candidates, n x classes.
        overlap: the largest allowed intersection over union, a fraction.

    Returns:
        The kept boxes with their scores and labels, the highest score first.
    """
    flat = scores.flatten()
    best, order = flat.topk(min(CANDIDATES, len(flat)))
    order, best = order[best > SCORE], best[best > SCORE]
    chosen, labels = order // scores.shape[1], order % scores.shape[1]
    corners = boxes[chosen]
    covers = (overlaps(corners) > overlap) & (labels[:, None] == labels[None, :])
    covers = covers.triu(1)
    stays = torch.ones(len(corners), dtype=torch.bool)
    while True:
        now = ~(covers & stays[:, None]).any(0)
        if torch.equal(now, stays):
            break
        stays = now
    return Detections(corners[stays][:DETECTIONS], best[stays][:DETECTIONS], labels[stays][:DETECTIONS])


def overlaps(boxes: torch.Tensor) -> torch.Tensor:
    """Intersection over union of each pair of boxes (n x 4, as corners): n x n."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp_min(0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1)
    return shared / (area[:, None] + area[None, :] - shared).clamp_min(1e-9)


def corners_of(centres: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Convert centres and sizes, both (..., 2), to corners (..., 4)."""
    return torch.cat((centres - sizes / 2, centres + sizes / 2), -1)
