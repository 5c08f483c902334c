"""Blocks of language models that write one token after another, of any width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu


class RootNorm(nn.Module):
    """Divides by the root of the mean square, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        exact = tokens.to(torch.float32)
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * exact.to(tokens.dtype)


def _turned(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Vectors turned by their place, as rotary embeddings do it."""
    half = vectors.shape[-1] // 2
    swapped = torch.cat((-vectors[..., half:], vectors[..., :half]), dim=-1)
    return vectors * cosine + swapped * sine


class CachedAttention(nn.Module):
    """Attention of the new tokens to themselves and to those before them, whose keys and values are kept."""

    keys: Tensor
    values: Tensor

    def __init__(self, width: int, heads: int, shared_by: int, before: int) -> None:
        super().__init__()
        self.size, self.shared_by = width // heads, shared_by
        kept = heads // shared_by
        self.query, self.last = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.key, self.value = (nn.Linear(width, kept * self.size, bias=False) for _ in range(2))
        self.register_buffer("keys", torch.randn(1, kept, before, self.size))
        self.register_buffer("values", torch.randn(1, kept, before, self.size))

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.view(*tokens.shape[:2], -1, self.size).transpose(1, 2)

    def _repeated(self, heads: Tensor) -> Tensor:
        if self.shared_by == 1:
            return heads
        batch, count, tokens, size = heads.shape
        wide = heads[:, :, None].expand(batch, count, self.shared_by, tokens, size)
        return wide.reshape(batch, count * self.shared_by, tokens, size)

    def forward(self, tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        query = _turned(self._heads(self.query(tokens)), cosine, sine)
        key = torch.cat((self.keys, _turned(self._heads(self.key(tokens)), cosine, sine)), dim=2)
        value = torch.cat((self.values, self._heads(self.value(tokens))), dim=2)
        seen = scaled_dot_product_attention(query, self._repeated(key), self._repeated(value))
        result: Tensor = self.last(seen.transpose(1, 2).reshape(tokens.shape))
        return result


class DecoderLayer(nn.Module):
    """Attention and a gated pair of products, each after a normalisation."""

    def __init__(self, width: int, heads: int, *, shared_by: int, middle: int, before: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([RootNorm(width), RootNorm(width)])
        self.attention = CachedAttention(width, heads, shared_by, before)
        self.gate, self.up = (nn.Linear(width, middle, bias=False) for _ in range(2))
        self.down = nn.Linear(middle, width, bias=False)

    def forward(self, tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norms[0](tokens), cosine, sine)
        normed = self.norms[1](tokens)
        mixed: Tensor = self.down(silu(self.gate(normed)) * self.up(normed))
        return tokens + mixed


class Decoder(nn.Module):
    """A language model that has seen some tokens before."""

    speeds: Tensor

    def __init__(
        self, words: int, width: int, heads: int, layers: int, *, shared_by: int, middle: int, before: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.layers = nn.ModuleList([DecoderLayer(width, heads, shared_by=shared_by, middle=middle, before=before)
                                     for _ in range(layers)])  # fmt: skip
        self.norm, self.last = RootNorm(width), nn.Linear(width, words, bias=False)
        self.before = before
        self.register_buffer("speeds", 10_000.0 ** -torch.linspace(0, 1, width // heads // 2))

    def forward(self, words: Tensor) -> Tensor:
        tokens = self.words(words)
        places = torch.arange(self.before, self.before + words.shape[1])
        angles = places[:, None].to(torch.float32) * self.speeds.to(torch.float32)
        both = torch.cat((angles, angles), dim=-1)
        cosine, sine = both.cos().to(tokens.dtype), both.sin().to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, cosine, sine)
        result: Tensor = self.last(self.norm(tokens)[:, -1:])
        return result
