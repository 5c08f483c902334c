"""Blocks of networks with attention, and of those that were made after them, of any width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Projections = Literal["separate", "together"]  # of query, key and value
Products = Literal["fused", "written out"]


class Attention(nn.Module):
    """Attention of all tokens to all."""

    def __init__(self, width: int, heads: int, projections: Projections, products: Products) -> None:
        super().__init__()
        self.heads, self.products = heads, products
        count, outer = (1, 3 * width) if projections == "together" else (3, width)
        self.projections = nn.ModuleList([nn.Linear(width, outer) for _ in range(count)])
        self.last = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        each = (self.heads, width // self.heads)
        if len(self.projections) == 1:
            together = self.projections[0](tokens).reshape(batch, count, 3, *each)
            query, key, value = together.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            query, key, value = (one(tokens).view(batch, count, *each).transpose(1, 2) for one in self.projections)
        if self.products == "fused":
            seen = scaled_dot_product_attention(query, key, value)
        else:
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
            seen = scores.softmax(dim=-1) @ value
        result: Tensor = self.last(seen.transpose(1, 2).reshape(batch, count, width))
        return result


class Encoder(nn.Module):
    """Attention and two products, each with a normalisation before or after it."""

    def __init__(
        self, width: int, heads: int, *, wider: int, projections: Projections, products: Products, first: bool,
        activation: Callable[[], nn.Module],
    ) -> None:  # fmt: skip
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = Attention(width, heads, projections, products)
        self.mixed = nn.Sequential(nn.Linear(width, wider * width), activation(), nn.Linear(wider * width, width))
        self.first = first

    def forward(self, tokens: Tensor) -> Tensor:
        for norm, layer in zip(self.norms, (self.attention, self.mixed), strict=True):
            tokens = tokens + layer(norm(tokens)) if self.first else norm(tokens + layer(tokens))
        return tokens


class ImageTokens(nn.Module):
    """Patches of an image as tokens, behind one for the whole, with their places."""

    def __init__(self, side: int, patch: int, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.whole = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, (side // patch) ** 2 + 1, width))

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        return torch.cat((self.whole.expand(len(tokens), -1, -1), tokens), dim=1) + self.places


class WordTokens(nn.Module):
    """Words as tokens, with their places."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(512, width)

    def forward(self, words: Tensor) -> Tensor:
        result: Tensor = self.words(words) + self.places(torch.arange(words.shape[1]))
        return result


class Classifier(nn.Module):
    """What the first token says."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.last(self.norm(tokens)[:, 0])
        return result


class Windows(nn.Module):
    """An encoder in each window of an image whose channels are last, after the image was shifted."""

    def __init__(self, encoder: Encoder, side: int, shift: int) -> None:
        super().__init__()
        self.encoder, self.side, self.shift = encoder, side, shift

    def forward(self, image: Tensor) -> Tensor:
        batch, height, width, channels = image.shape
        side = self.side
        if self.shift:
            image = torch.roll(image, (-self.shift, -self.shift), (1, 2))
        parted = image.view(batch, height // side, side, width // side, side, channels).permute(0, 1, 3, 2, 4, 5)
        tokens = self.encoder(parted.reshape(-1, side * side, channels))
        parted = tokens.view(batch, height // side, width // side, side, side, channels).permute(0, 1, 3, 2, 4, 5)
        image = parted.reshape(batch, height, width, channels)
        return torch.roll(image, (self.shift, self.shift), (1, 2)) if self.shift else image


class Mixed(nn.Module):
    """A wide depthwise convolution and two products, as in convolutional networks that were made after attention."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.layers = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        changed = self.layers(self.around(image).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        result: Tensor = self.scale * changed + image
        return result


class LastChannels(nn.Module):
    """Channels as the last dimension."""

    def forward(self, image: Tensor) -> Tensor:
        return image.permute(0, 2, 3, 1)


class Averaged(nn.Module):
    """The mean over all pixels."""

    def __init__(self, dimensions: tuple[int, int]) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(self.dimensions)
