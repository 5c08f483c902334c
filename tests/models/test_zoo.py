"""Study B's networks: parameters as published, and what detectors do after them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opclock.models.zoo import LANDSCAPE, ZOO
from opclock.models.zoo.detection import overlaps, suppress
from opclock.models.zoo.ssdlite import SSDLite
from opclock.models.zoo.yolox import YOLOX

# Millions, as the papers or their authors' code give them, and how far rounding lets a count lie from them.
PUBLISHED = {
    "vgg16-224": (138.4, 0.05), "inceptionv3-299": (23.83, 0.01), "inceptionv4-299": (42.68, 0.01),
    "resnet50-224": (25.56, 0.01), "seresnet50-224": (28.09, 0.01), "xception-299": (22.86, 0.01),
    "mobilenet-224": (4.2, 0.05), "mobilenetv2-224": (3.5, 0.05), "shufflenet-224": (1.87, 0.01),
    "shufflenetv2-224": (2.28, 0.01), "ssdlite": (4.3, 0.05), "yolox": (5.06, 0.01), "deeplabv3": (2.11, 0.01),
    "unet": (31.03, 0.01),
}  # fmt: skip


@pytest.mark.parametrize("name", LANDSCAPE)
def test_parameters_are_as_published(name):
    with torch.device("meta"):
        module, _ = LANDSCAPE[name].make()
    millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    published, rounding = PUBLISHED[name]
    assert abs(millions - published) <= rounding


def test_names_of_both_studies_differ():
    assert not set(ZOO) & set(LANDSCAPE)


BOXES = st.lists(
    st.tuples(*(st.floats(0, 20) for _ in range(2)), *(st.floats(1, 20) for _ in range(2)),
              st.floats(1 / 32, 1, width=32),
              st.integers(0, 1)),
    min_size=1, max_size=12, unique_by=lambda box: box[4],
)  # fmt: skip


@given(BOXES, st.floats(0.1, 0.9))
def test_suppression_is_the_greedy_one(boxes, limit):
    corners = torch.tensor([[x, y, x + wide, y + high] for x, y, wide, high, _, _ in boxes])
    scores = torch.zeros(len(boxes), 2)
    for i, (*_, score, label) in enumerate(boxes):
        scores[i, label] = score
    kept: list[int] = []
    shared = overlaps(corners)
    for i in sorted(range(len(boxes)), key=lambda i: -boxes[i][4]):
        if all(shared[i, j] <= limit or boxes[i][5] != boxes[j][5] for j in kept):
            kept.append(i)
    detections = suppress(corners, scores, limit)
    assert torch.equal(detections.boxes, corners[kept])
    assert detections.labels.tolist() == [boxes[i][5] for i in kept]


def test_overlaps_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert overlaps(boxes)[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0])


@pytest.mark.parametrize("make", [SSDLite, YOLOX])
def test_detectors_decode_as_many_boxes_as_they_have_places(make):
    module = make().eval()
    with torch.inference_mode():
        output = module(torch.randn(2, 3, 320, 320) if make is SSDLite else torch.randn(2, 3, 416, 416))
        detections = module.postprocess(output)
    assert len(detections) == 2
    for one in detections:
        assert one.boxes.shape == (len(one.scores), 4)
        assert (one.scores.diff() <= 0).all()


def test_an_untouched_anchor_is_its_own_box():
    module = SSDLite()
    scores = torch.full((1, len(module.anchors), 81), -10.0)
    scores[0, 7, 5] = 10.0
    (detections,) = module.postprocess((scores, torch.zeros(1, len(module.anchors), 4)))
    assert detections.labels[0] == 4
    centre, size = module.anchors[7, :2] * 320, module.anchors[7, 2:] * 320
    assert torch.allclose(detections.boxes[0], torch.cat((centre - size / 2, centre + size / 2)))


@pytest.mark.parametrize(("name", "shape"), [("deeplabv3", (1, 513, 513)), ("unet", (1, 256, 256))])
def test_segmenters_give_every_pixel_a_class(name, shape):
    module, image = LANDSCAPE[name].make()
    with torch.inference_mode():
        module = module.eval()
        assert module.postprocess(module(image)).shape == shape
