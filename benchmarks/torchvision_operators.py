"""Lets torchvision be imported and run where its compiled operators are not: not every torch has a CPU wheel of it."""

import torch


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """The boxes that are kept, the best first: each drops those that it overlaps by more than the threshold."""
    from torchvision.ops import box_iou

    order = scores.argsort(descending=True)
    overlaps = (box_iou(boxes[order], boxes[order]) > iou_threshold).tolist()
    kept: list[int] = []
    for place in range(len(overlaps)):
        if not any(overlaps[better][place] for better in kept):
            kept.append(place)
    return order[kept]


try:
    import torchvision  # noqa: F401
except RuntimeError:
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.impl("nms", _nms, "CPU")

    from torchvision.ops import boxes

    boxes._assert_has_ops = lambda: None  # type: ignore[attr-defined]
