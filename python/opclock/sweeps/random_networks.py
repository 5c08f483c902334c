"""Networks drawn at random, for predictors to learn from: what a kernel takes among those of a network.

A kernel in a pool of a sweep finds other caches than in a network, where its input was written just before, and where
the code of its kind was run by its neighbours: it took 1.1 to 2.7 times as long, each kind differently.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from opclock.sweeps import attention_blocks as attention
from opclock.sweeps import convolutional_blocks as blocks
from opclock.sweeps.convolutional_blocks import Activation
from opclock.sweeps.decoder_blocks import Decoder
from opclock.sweeps.random_stages import Stages, drawn_width

SEED = 20261129  # for drawing networks: every board gets the same ones
CLASSES = (10, 100, 1000, 1000)
MAX_WEIGHTS = 1 << 24  # of the product that reads an image's last layer, 64 MB: a small board has memory for them
WORDS = 2000


class Network(NamedTuple):
    """A network in evaluation mode, and inputs for it."""

    name: str
    module: nn.Module
    inputs: Tensor


def _image(side: int, random_: random.Random, batches: tuple[int, ...]) -> Tensor:
    return torch.randn(random_.choice(batches), 3, side, side)


def _convolutional(random_: random.Random) -> tuple[nn.Module, Tensor]:
    side = random_.choice((32, 32, 48, 64, 64, 96, 96, 128, 160, 224))
    stages = Stages(side, random_)
    for number in range(random_.randint(3, 5)):
        stages.stage(number)
    images = _image(side, random_, (1, 1, 1, 2, 4) if side > 64 else (1, 1, 1, 2, 4, 8))
    return nn.Sequential(nn.Sequential(*stages.layers), *_classifier(stages.channels, random_)), images


def _classifier(channels: int, random_: random.Random) -> list[nn.Module]:
    """Layers that read an image: its mean as in most networks, or all of it as in the first ones."""
    side = random_.choice((1, 1, 1, 1, 1, 2, 4, 7))
    width = channels * side * side
    hidden = min(random_.choice((256, 1024, 4096)), MAX_WEIGHTS // width)
    count = random_.choice((0, 0, 1) if side == 1 else (1, 2))
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(side), nn.Flatten()]
    if side == 1 and random_.random() < 0.3:
        layers = [attention.Averaged((2, 3))]
    for _ in range(count):
        layers += [nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Dropout()]
        width = hidden
    return [*layers, nn.Linear(width, random_.choice(CLASSES))]


def _encoder(width: int, heads: int, random_: random.Random) -> Callable[[], attention.Encoder]:
    """Encoders of one kind."""
    projections: attention.Projections = random_.choice(("separate", "together"))
    products: attention.Products = random_.choice(("fused", "fused", "written out"))
    activation: Activation = random_.choice((nn.GELU, nn.ReLU))
    return partial(attention.Encoder, width, heads, wider=random_.choice((2, 4, 4)), projections=projections,
                   products=products, first=random_.random() < 0.6, activation=activation)  # fmt: skip


def _transformer(random_: random.Random) -> tuple[nn.Module, Tensor]:
    heads = random_.choice((2, 3, 4, 6, 8, 12))
    width = heads * random_.choice((16, 32, 64))
    encoder = _encoder(width, heads, random_)
    encoders = nn.Sequential(*(encoder() for _ in range(random_.randint(1, 3))))
    if random_.random() < 0.6:
        side, patch = random_.choice(((32, 4), (64, 8), (96, 16), (128, 16), (224, 16), (224, 32)))
        first: nn.Module = attention.ImageTokens(side, patch, width)
        inputs = _image(side, random_, (1, 1, 1, 2, 4))
    else:
        first = attention.WordTokens(WORDS, width)
        inputs = torch.randint(0, WORDS, (random_.choice((1, 1, 1, 2, 4)), random_.choice((16, 32, 64, 128, 256))))
    return nn.Sequential(first, encoders, attention.Classifier(width, random_.choice(CLASSES))), inputs


def _windowed(random_: random.Random) -> tuple[nn.Module, Tensor]:
    heads, side = random_.choice((2, 3, 4)), random_.choice((4, 7, 8))
    width = heads * random_.choice((16, 32))
    encoder = _encoder(width, heads, random_)
    layers = [attention.Windows(encoder(), side, shift) for shift in (0, side // 2)]
    module = nn.Sequential(nn.Conv2d(3, width, 4, 4), attention.LastChannels(), *layers, attention.Averaged((1, 2)),
                           nn.Linear(width, random_.choice(CLASSES)))  # fmt: skip
    return module, _image(4 * side * random_.choice((1, 2, 4)), random_, (1, 1, 2))


def _mixed(random_: random.Random) -> tuple[nn.Module, Tensor]:
    width, side = drawn_width(32, 128, random_), random_.choice((32, 64, 96, 128, 224))
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 4)]
    for number in range(random_.randint(1, 4)):
        if number:
            wider = drawn_width(width * 1.5, width * 2.5, random_)
            layers.append(nn.Conv2d(width, wider, 2, 2))
            width = wider
        layers += [attention.Mixed(width, random_.choice((5, 7))) for _ in range(random_.randint(1, 3))]
    module = nn.Sequential(*layers, attention.Averaged((2, 3)), nn.Linear(width, random_.choice(CLASSES)))
    return module, _image(side, random_, (1, 1, 2))


def _unet(random_: random.Random) -> tuple[nn.Module, Tensor]:
    module = blocks.UNet(drawn_width(8, 32, random_), resized=random_.random() < 0.5)
    return module, _image(random_.choice((32, 64, 96, 128)), random_, (1,))


def _decoder(random_: random.Random) -> tuple[nn.Module, Tensor]:
    size, heads = random_.choice((32, 64, 64, 96, 128)), random_.choice((4, 6, 8))
    shared_by = random_.choice([1, 1, *(some for some in (2, 3, 4) if heads % some == 0)])
    width, before = size * heads, random_.choice((0, 16, 64, 256, 1024))
    middle = round(width * random_.choice((2, 8 / 3, 4)) / 32) * 32
    module = Decoder(random_.choice((1000, 4000, 16_000)), width, heads, random_.randint(1, 2), shared_by=shared_by,
                     middle=middle, before=before)  # fmt: skip
    words = torch.randint(0, 1000, (1, random_.choice((1, 1, 1, 8, 32, 128))))
    return (module.to(torch.bfloat16) if random_.random() < 0.5 else module), words


# What is drawn, and how often.
DRAWS = (_convolutional, _transformer, _windowed, _mixed, _unet, _decoder)
SHARES = (0.55, 0.12, 0.06, 0.10, 0.05, 0.12)


def name_of(number: int) -> str:
    """The name of a drawn network."""
    return f"network {number}"


def random_network(number: int) -> Network:
    """Draw a network, the same one for each number. PyTorch's random generator is afterwards as it was."""
    random_ = random.Random(f"{SEED} {number}")
    draw = random_.choices(DRAWS, SHARES)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        module, inputs = draw(random_)
    return Network(name_of(number), module.eval(), inputs)
