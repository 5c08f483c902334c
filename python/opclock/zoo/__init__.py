"""The ten CIFAR-100 models of study A, each written from its paper. Weights are random unless loaded."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from opclock.zoo.inceptionv3 import inceptionv3
from opclock.zoo.inceptionv4 import inceptionv4
from opclock.zoo.mobilenet import mobilenet
from opclock.zoo.mobilenetv2 import mobilenetv2
from opclock.zoo.resnet50 import resnet50
from opclock.zoo.seresnet50 import seresnet50
from opclock.zoo.shufflenet import shufflenet
from opclock.zoo.shufflenetv2 import shufflenetv2
from opclock.zoo.vgg16 import vgg16
from opclock.zoo.xception import xception

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
