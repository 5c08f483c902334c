"""The architectures of the corpus by kind. Weights are random; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import benchmarks.torchvision_operators  # noqa: F401 - transformers and timm import torchvision too

os.environ.setdefault("HF_HUB_OFFLINE", "1")

Built = tuple[Any, Any]  # a module and its inputs


def torchvision_names() -> list[str]:
    """Every model of torchvision."""
    from torchvision.models import list_models

    return [str(name) for name in list_models()]


def build_torchvision(name: str) -> Built:
    """A model of torchvision with an image or a clip that it takes."""
    import torch
    from torchvision.models import detection, get_model, list_models, optical_flow, segmentation, video

    quick: dict[str, Any] = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    if name in list_models(module=detection) or name in list_models(module=segmentation):
        quick = {"weights_backbone": None}
    if "rcnn" in name:  # few proposals: without compiled operators their alignment is in Python
        quick |= {"min_size": 160, "max_size": 160, "rpn_pre_nms_top_n_test": 20, "rpn_post_nms_top_n_test": 5}
    model = get_model(name, weights=None, **quick)
    if name in list_models(module=optical_flow):
        return model, (torch.randn(1, 3, 128, 128), torch.randn(1, 3, 128, 128))
    if name in list_models(module=video):
        return model, (torch.randn(1, 3, 16, 224, 224) if name[0] in "ms" else torch.randn(1, 3, 8, 112, 112),)
    if name in list_models(module=detection):
        return model, ([torch.rand(3, 320, 320)],)
    side = 299 if "inception" in name else 224
    return model, (torch.randn(1, 3, side, side),)


def timm_names() -> list[str]:
    """The smallest model by name of each timm family (a module of timm.models)."""
    import timm

    return [name for module in timm.list_modules() if (name := _smallest(timm.list_models(module=module)))]


def _smallest(names: list[str]) -> str:
    """A small variant: the first name with a word for small in it, else the first."""
    for word in ("atto", "femto", "pico", "nano", "xxs", "tiny", "_xs", "_s", "small", "18", "_b0", "test"):
        for name in names:
            if word in name:
                return name
    return names[0] if names else ""


def build_timm(name: str) -> Built:
    """A model of timm with an image of the size that it is made for."""
    import timm
    import torch

    model = timm.create_model(name, pretrained=False)
    size = model.default_cfg["input_size"] if hasattr(model, "default_cfg") else (3, 224, 224)
    return model, (torch.randn(1, *size),)


def transformers_names() -> list[str]:
    """Every architecture of transformers that AutoModel knows, by the type in its config."""
    from transformers import MODEL_MAPPING

    return sorted({config.model_type for config in MODEL_MAPPING if config.model_type})


def build_transformers(name: str) -> Built:
    """A small architecture of transformers with inputs that a real run takes."""
    from benchmarks.corpus.transformers_tiny import build

    return build(name)


class Kind(NamedTuple):
    """One library's models."""

    names: Callable[[], list[str]]
    build: Callable[[str], Built]
    first: str  # a small one: building it imports what all need


KINDS = {
    "torchvision": Kind(torchvision_names, build_torchvision, "mobilenet_v2"),
    "timm": Kind(timm_names, build_timm, "mobilenetv3_small_050"),
    "transformers": Kind(transformers_names, build_transformers, "bert"),
}
