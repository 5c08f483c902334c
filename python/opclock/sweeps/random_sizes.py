"""Sizes of tensors drawn at random, as networks have them.

Sizes have uniformly distributed logarithms, from a hundred elements to ten million; channels are mostly multiples of
powers of two, and larger images have fewer of them.
"""

from __future__ import annotations

import random
from typing import Any

STEPS = {64: 0.3, 32: 0.2, 16: 0.2, 8: 0.15, 4: 0.08, 1: 0.07}  # power of two that divides the channels: how often
SIDES = (1, 4, 7, 8, 14, 16, 28, 32, 56, 64, 112, 128)
TOKENS = (16, 49, 50, 64, 128, 196, 197, 256)


def draw_int(low: int, high: int, random_: random.Random) -> int:
    """Draw an integer with a uniformly distributed logarithm."""
    drawn: float = low * (high / low) ** random_.random()
    return round(drawn)


def draw_channels(low: int, high: int, random_: random.Random) -> int:
    """Draw channels as in networks: mostly multiples of a power of two, with larger powers for larger numbers."""
    count = draw_int(low, high, random_)
    fitting = {step: weight for step, weight in STEPS.items() if step <= max(1, count // 2)}
    step = random_.choices(list(fitting), list(fitting.values()))[0]
    return max(1, round(count / step) * step)


def draw_batch(random_: random.Random) -> int:
    """Draw how many images or sequences: mostly one."""
    return random_.choices((1, 2, 4, 8), (0.7, 0.1, 0.1, 0.1))[0]


def draw_side(random_: random.Random) -> int:
    """Draw the side of an image in pixels: mostly 224 or 256, halved several times."""
    return random_.choice(SIDES) if random_.random() < 0.6 else draw_int(1, 160, random_)


def draw_depth(side: int, low: int, high: int, random_: random.Random) -> int:
    """Draw channels for an image with this side: usually fewer for larger images, as in networks."""
    if random_.random() < 0.2:
        return draw_channels(low, high, random_)
    min_channels = low if side <= 4 else max(low, 200 // side)
    return draw_channels(min_channels, max(min_channels, min(high, max(64, 20_000 // side))), random_)


def draw_related(count: int, high: int, random_: random.Random) -> int:
    """Draw a layer's output channels: as many as its input channels, a multiple, or independent of them."""
    if random_.random() < 0.3:
        return draw_channels(8, high, random_)
    ratio = random_.choice((1, 1, 1, 2, 0.5, 3, 4, 0.25, 6, 1 / 6))
    return max(8, min(high, round(count * ratio / 8) * 8))


def draw_image(random_: random.Random, low: int = 8, high: int = 2048) -> dict[str, Any]:
    """Draw the channels, the side and the batch of images."""
    side = draw_side(random_)
    return {"channels": draw_depth(side, low, high, random_), "size": side, "batch": draw_batch(random_)}


def draw_tokens(high: int, random_: random.Random) -> int:
    """Draw the length of a sequence: as for square patches, as for text, or any number."""
    return random_.choice(TOKENS) if random_.random() < 0.4 else draw_int(1, high, random_)


def draw_rows(random_: random.Random) -> dict[str, Any]:
    """Draw the rows and columns of matrices, such as a sequence and its width, and how many there are."""
    return {
        "rows": draw_tokens(2048, random_),
        "columns": draw_channels(4, 2048, random_),
        "batch": draw_batch(random_),
    }
