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
from opclock.sweeps.decoder_blocks import Decoder, Form, RootNorm
from opclock.sweeps.random_stages import Stages, drawn_width

SEED = 20261129  # for drawing networks: every board gets the same ones
CLASSES = (10, 100, 1000, 1000)
MAX_WEIGHTS = 1 << 24  # of the product that reads an image's last layer, 64 MB: a small board has memory for them
WORDS = 2000
# Of a language model's layers: from what the caches hold to what only memory does, 256 MB in float32.
DECODER_WEIGHTS = (1 << 20, 1 << 22, 1 << 24, 1 << 25, 1 << 26)
DECODER_MACS = 1_000_000_000  # of an inference, about: a larger one is not timed
MAX_LAYERS = 6  # of a language model: each is traced and warmed up


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


def _form(random_: random.Random) -> Form:
    """Draw the layers of a language model."""
    size, heads = random_.choice((32, 64, 64, 96, 128)), random_.choice((4, 6, 8))
    width = size * heads
    gated, usual = random_.random() < 0.5, random_.random() < 0.7
    return Form(
        width,
        heads,
        shared_by=random_.choice([1, 1, *(some for some in (2, 3, 4, heads) if heads % some == 0)]),
        middle=round(width * random_.choice((2, 8 / 3) if gated else (2, 4, 4)) / 32) * 32,
        norm=RootNorm if gated == usual else nn.LayerNorm,
        activation=nn.SiLU if gated else random_.choice((nn.GELU, nn.ReLU, partial(nn.GELU, approximate="tanh"))),
        gated=gated,
        bias=gated != usual,
        together=random_.random() < 0.3,
        parallel=random_.random() < 0.2,
        expanded=random_.random() < 0.6,
        fused=random_.random() < 0.7,
    )


def _decoder(random_: random.Random) -> tuple[nn.Module, Tensor]:
    form, before = _form(random_), random_.choice((0, 16, 64, 256, 1024))
    in_layer = form.width * (4 * form.width + (3 if form.gated else 2) * form.middle)
    layers = max(1, min(MAX_LAYERS, random_.choice(DECODER_WEIGHTS) // in_layer))
    words = min(random_.choice((1000, 4000, 16_000, 32_000)), MAX_WEIGHTS // form.width)
    module = Decoder(words, form, layers, before)
    tokens = max(1, min(random_.choice((1, 1, 1, 8, 32, 128, 128)), DECODER_MACS // (layers * in_layer)))
    narrow = random_.random() < 0.5
    return (module.to(torch.bfloat16) if narrow else module), torch.randint(0, words, (1, tokens))


# What is drawn, and how often.
DRAWS = (_convolutional, _transformer, _windowed, _mixed, _unet, _decoder)
SHARES = (0.50, 0.11, 0.05, 0.10, 0.05, 0.19)


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
