"""Models by name: the zoo's, and those of libraries where they are installed. Weights are random."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from opclock.errors import ModelError, described
from opclock.models.factories import ModuleAndInputs, checked_result
from opclock.models.names import nearest
from opclock.models.output import without_log

IMAGE = (1, 3, 224, 224)  # torchvision's models take other sizes, too
CIFAR_IMAGE = (1, 3, 32, 32)
DETECTOR_IMAGE = (1, 3, 640, 640)  # what Ultralytics' models are trained with


def _zoo(name: str) -> ModuleAndInputs:
    from opclock.models.zoo import LANDSCAPE, ZOO

    if name in LANDSCAPE:
        return checked_result(f"the factory {name}", LANDSCAPE[name].make())
    if name not in ZOO:
        raise ModelError(f"the zoo has no model {name!r}{nearest(name, [*ZOO, *LANDSCAPE])}")
    return ZOO[name](), (torch.randn(CIFAR_IMAGE),)


def _torchvision(name: str) -> ModuleAndInputs:
    models = installed("torchvision.models", f"torchvision:{name}")
    known = models.list_models()
    if name not in known:
        raise ModelError(f"torchvision has no model {name!r}{nearest(name, known)}")
    # The default initialisation of Inception models takes minutes, and the weights do not affect timing.
    quick: dict[str, Any] = {"init_weights": False} if name.endswith(("inception_v3", "googlenet")) else {}
    if name.startswith("quantized_"):
        quick |= {"quantize": True, **_quantised_backend()}
    return models.get_model(name, weights=None, **quick), (torch.randn(IMAGE),)


def _quantised_backend() -> dict[str, str]:
    """What to add to a quantised model's options: torchvision's own choice, FBGEMM, is for x86 only."""
    return {} if "fbgemm" in torch.backends.quantized.supported_engines else {"backend": "qnnpack"}


def _timm(name: str) -> ModuleAndInputs:
    timm = installed("timm", f"timm:{name}")
    if not timm.is_model(name.partition(".")[0]):
        raise ModelError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    module = timm.create_model(name, pretrained=False)
    return module, (torch.randn(1, *module.pretrained_cfg.get("input_size", IMAGE[1:])),)


def _ultralytics(name: str) -> ModuleAndInputs:
    if Path(name).suffix not in (".yaml", ".yml"):
        raise ModelError(f"ultralytics:{name}: name a model's description, such as ultralytics:yolov8n.yaml")
    return installed("ultralytics", f"ultralytics:{name}").YOLO(name).model, (torch.randn(DETECTOR_IMAGE),)


def _transformers(name: str) -> ModuleAndInputs:
    from opclock.models.huggingface import from_config

    installed("transformers", f"hf:{name}")
    return from_config(name)


# What stands before the colon of a model's name.
LIBRARIES: dict[str, Callable[[str], ModuleAndInputs]] = {
    "zoo": _zoo, "torchvision": _torchvision, "timm": _timm, "hf": _transformers, "ultralytics": _ultralytics,
}  # fmt: skip


def from_library(kind: str, name: str) -> ModuleAndInputs:
    """Build a library's model.

    Args:
        kind: a key of ``LIBRARIES``.
        name: of the model in it.

    Returns:
        The module with random weights, and inputs for it.

    Raises:
        ModelError: the library is not installed, has no such model, or raises when it builds it.
    """
    try:
        with without_log():  # such as of extensions that an optional dependency of theirs cannot load
            return LIBRARIES[kind](name)
    except ModelError:
        raise
    except Exception as error:  # of many kinds: what the library raises
        raise ModelError(f"{kind}:{name} cannot be built: {described(error)}") from error


def installed(module: str, text: str) -> Any:  # noqa: ANN401
    """Import a library. Raises ModelError, with pip's command, where it is not installed."""
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise ModelError(f"{text} needs {package}, which is not installed: pip install {package}")
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ModelError(f"cannot import {module} for {text}: {described(error)}") from error
