"""A small language model whose factory names prefill and decode, and some that generate nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

VOCABULARY, WIDTH, HEADS, LAYERS = 50, 64, 4, 2


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.projection, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, row, past):
        split = self.projection(self.norm(row)).view(*row.shape[:2], 3 * HEADS, WIDTH // HEADS).transpose(1, 2)
        query, key, value = split.chunk(3, 1)
        if past is not None:
            key, value = (torch.cat(pair, dim=-2) for pair in zip(past, (key, value), strict=True))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        return row + self.out(mixed.transpose(1, 2).flatten(2)), (key, value)


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids, cache=None):
        row, cache = self.words(ids), cache or [None] * LAYERS
        for number, layer in enumerate(self.layers):
            row, cache[number] = layer(row, cache[number])
        return self.head(row[:, -1]), cache


def make():
    model = LanguageModel()
    return model, {"prefill": model, "decode": model}


class Bag(nn.Module):
    """Its cache is batch x tokens x width."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids, cache=None):
        rows = self.words(ids)
        cache = [rows] if cache is None else [torch.cat([cache[0], rows], dim=1)]
        return self.head(cache[0].mean(1)), cache


def without_heads():
    model = Bag()
    return model, {"prefill": model, "decode": model}


def forgetful():
    model = LanguageModel()
    return model, {"prefill": lambda ids: (model(ids)[0], None), "decode": model}


def failing():
    def decode(ids, cache):
        raise RuntimeError("not today")

    model = LanguageModel()
    return model, {"prefill": model, "decode": decode}


def all_logits():
    model = LanguageModel()
    return model, {"prefill": lambda ids: (model.head(model.words(ids)), []), "decode": model}


def no_pair():
    model = LanguageModel()
    return model, {"prefill": lambda ids: model(ids)[0], "decode": model}


def no_logits():
    model = LanguageModel()
    return model, {"prefill": model, "decode": lambda ids, cache: (model(ids, cache)[0].tolist(), cache)}


def one_function():
    model = LanguageModel()
    return model, {"prefill": model}


def plain():
    return nn.Linear(4, 4), torch.randn(1, 4)
