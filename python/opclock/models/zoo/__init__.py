"""The models of both studies, each written from its paper. Weights are random unless loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from opclock.models.zoo.deeplabv3 import deeplabv3
from opclock.models.zoo.inceptionv3 import inceptionv3, inceptionv3_299
from opclock.models.zoo.inceptionv4 import inceptionv4, inceptionv4_299
from opclock.models.zoo.mobilenet import mobilenet, mobilenet_224
from opclock.models.zoo.mobilenetv2 import mobilenetv2, mobilenetv2_224
from opclock.models.zoo.resnet50 import resnet50, resnet50_224
from opclock.models.zoo.seresnet50 import seresnet50, seresnet50_224
from opclock.models.zoo.shufflenet import shufflenet, shufflenet_224
from opclock.models.zoo.shufflenetv2 import shufflenetv2, shufflenetv2_224
from opclock.models.zoo.ssdlite import ssdlite
from opclock.models.zoo.unet import unet
from opclock.models.zoo.vgg16 import vgg16, vgg16_224
from opclock.models.zoo.xception import xception, xception_299
from opclock.models.zoo.yolox import yolox

Task = Literal["classification", "detection", "segmentation"]
ModuleAndInput = tuple[nn.Module, torch.Tensor]

# Study A: ten CIFAR-100 models, for one image of 32x32 pixels.
ZOO: dict[str, Callable[[], nn.Module]] = {
    "vgg16": vgg16,
    "inceptionv3": inceptionv3,
    "inceptionv4": inceptionv4,
    "resnet50": resnet50,
    "seresnet50": seresnet50,
    "xception": xception,
    "mobilenet": mobilenet,
    "mobilenetv2": mobilenetv2,
    "shufflenet": shufflenet,
    "shufflenetv2": shufflenetv2,
}


@dataclass(frozen=True)
class Network:
    """A model of study B: its task, and a function that builds it with an example image."""

    task: Task
    make: Callable[[], ModuleAndInput]


def _classifier(make: Callable[[], nn.Module], side: int) -> Network:
    return Network("classification", lambda: (make(), torch.randn(1, 3, side, side)))


# Study B: three tasks at the sizes of their papers.
LANDSCAPE: dict[str, Network] = {
    "vgg16-224": _classifier(vgg16_224, 224),
    "inceptionv3-299": _classifier(inceptionv3_299, 299),
    "inceptionv4-299": _classifier(inceptionv4_299, 299),
    "resnet50-224": _classifier(resnet50_224, 224),
    "seresnet50-224": _classifier(seresnet50_224, 224),
    "xception-299": _classifier(xception_299, 299),
    "mobilenet-224": _classifier(mobilenet_224, 224),
    "mobilenetv2-224": _classifier(mobilenetv2_224, 224),
    "shufflenet-224": _classifier(shufflenet_224, 224),
    "shufflenetv2-224": _classifier(shufflenetv2_224, 224),
    "ssdlite": Network("detection", ssdlite),
    "yolox": Network("detection", yolox),
    "deeplabv3": Network("segmentation", deeplabv3),
    "unet": Network("segmentation", unet),
}
