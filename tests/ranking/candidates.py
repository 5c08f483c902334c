"""Models to rank."""

import os
import signal
import sys

import torch
from torch import nn


def layer(width=8, depth=1, kind="relu"):
    """A factory with arguments."""
    if width == 13:
        raise ValueError("13 brings bad luck")
    if width == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    if width == 15:
        sys.exit("not today")
    act = {"relu": nn.ReLU, "gelu": nn.GELU}[kind]
    return nn.Sequential(*(part for _ in range(depth) for part in (nn.Linear(width, width), act()))), torch.ones(
        1, width
    )


def several():
    """A generator of factories."""
    yield "small", lambda: layer(4)
    yield "large", lambda: layer(64)
    yield lambda: layer(16)


def twice():
    """Two candidates of one name."""
    yield "same", layer
    yield "same", layer


def wrong():
    """What is no factory."""
    yield 3


def empty():
    """Nothing."""
    return []
