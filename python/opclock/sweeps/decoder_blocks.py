"""Blocks of language models that write one token after another, of any width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


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


@dataclass(frozen=True)
class Form:
    """What the layers of one language model consist of.

    Attributes:
        width: elements of a token between layers.
        heads: of attention.
        shared_by: how many heads share their keys and values.
        middle: elements of a token inside the pair of products.
        norm: makes a normalisation for a width.
        activation: makes what is between the products.
        gated: whether a third product decides how much of the first one counts.
        bias: of products with weights.
        together: whether queries, keys and values are one product.
        parallel: whether attention and products both read the layer's input.
        expanded: whether shared keys and values are copied for each head.
        fused: whether attention is one operator; else products and a softmax, with shared keys and values copied.
    """

    width: int
    heads: int
    shared_by: int
    middle: int
    norm: Callable[[int], nn.Module] = RootNorm
    activation: Callable[[], nn.Module] = nn.SiLU
    gated: bool = True
    bias: bool = False
    together: bool = False
    parallel: bool = False
    expanded: bool = True
    fused: bool = True

    def linear(self, inner: int, outer: int) -> nn.Linear:
        """A product with weights."""
        return nn.Linear(inner, outer, bias=self.bias)


class CachedAttention(nn.Module):
    """Attention of the new tokens to themselves and to those before them, whose keys and values are kept."""

    keys: Tensor
    values: Tensor

    def __init__(self, form: Form, before: int) -> None:
        super().__init__()
        self.form, self.size = form, form.width // form.heads
        kept = form.heads // form.shared_by
        self.widths = (form.width, kept * self.size, kept * self.size)
        wide = (sum(self.widths),) if form.together else self.widths
        self.first = nn.ModuleList([form.linear(form.width, outer) for outer in wide])
        self.last = form.linear(form.width, form.width)
        self.register_buffer("keys", torch.randn(1, kept, before, self.size))
        self.register_buffer("values", torch.randn(1, kept, before, self.size))

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.view(*tokens.shape[:2], -1, self.size).transpose(1, 2)

    def _repeated(self, heads: Tensor) -> Tensor:
        if self.form.shared_by == 1:
            return heads
        batch, count, tokens, size = heads.shape
        wide = heads[:, :, None].expand(batch, count, self.form.shared_by, tokens, size)
        return wide.reshape(batch, count * self.form.shared_by, tokens, size)

    def _seen(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention where each token sees those before it; one token sees all."""
        new, before = query.shape[2], self.keys.shape[2]
        if self.form.expanded or not self.form.fused:
            key, value = self._repeated(key), self._repeated(value)
        if not self.form.fused:
            scores = query @ key.transpose(-2, -1) * self.size**-0.5
            later = torch.ones(new, new + before, dtype=torch.bool).triu(before + 1)
            shares = scores.masked_fill(later, -torch.inf).softmax(dim=-1, dtype=torch.float32)
            seen: Tensor = shares.to(value.dtype) @ value
            return seen
        mask = None
        if new > 1 and before:
            mask = torch.ones(new, new + before, dtype=torch.bool).tril(before)
        return scaled_dot_product_attention(
            query, key, value, mask, is_causal=new > 1 and not before, enable_gqa=not self.form.expanded
        )

    def forward(self, tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        drawn = [layer(tokens) for layer in self.first]
        new_query, new_key, new_value = drawn[0].split(self.widths, dim=-1) if self.form.together else drawn
        query = _turned(self._heads(new_query), cosine, sine)
        key = torch.cat((self.keys, _turned(self._heads(new_key), cosine, sine)), dim=2)
        value = torch.cat((self.values, self._heads(new_value)), dim=2)
        result: Tensor = self.last(self._seen(query, key, value).transpose(1, 2).reshape(tokens.shape))
        return result


class Products(nn.Module):
    """A pair of products with an activation between them, or three of which one is a gate."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.up, self.down = form.linear(form.width, form.middle), form.linear(form.middle, form.width)
        self.gate = form.linear(form.width, form.middle) if form.gated else None
        self.activation = form.activation()

    def forward(self, tokens: Tensor) -> Tensor:
        if self.gate is None:
            middle = self.activation(self.up(tokens))
        else:
            middle = self.activation(self.gate(tokens)) * self.up(tokens)
        result: Tensor = self.down(middle)
        return result


class DecoderLayer(nn.Module):
    """Attention and products, each after a normalisation."""

    def __init__(self, form: Form, before: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([form.norm(form.width), form.norm(form.width)])
        self.attention, self.products = CachedAttention(form, before), Products(form)
        self.parallel = form.parallel

    def forward(self, tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        seen = self.attention(self.norms[0](tokens), cosine, sine)
        if self.parallel:
            both: Tensor = tokens + seen + self.products(self.norms[1](tokens))
            return both
        tokens = tokens + seen
        result: Tensor = tokens + self.products(self.norms[1](tokens))
        return result


class Decoder(nn.Module):
    """A language model that has seen some tokens before."""

    speeds: Tensor

    def __init__(self, words: int, form: Form, layers: int, before: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, form.width)
        self.layers = nn.ModuleList([DecoderLayer(form, before) for _ in range(layers)])
        self.norm, self.last = form.norm(form.width), nn.Linear(form.width, words, bias=False)
        self.before = before
        self.register_buffer("speeds", 10_000.0 ** -torch.linspace(0, 1, form.width // form.heads // 2))

    def forward(self, words: Tensor) -> Tensor:
        tokens = self.words(words)
        places = torch.arange(self.before, self.before + words.shape[1])
        angles = places[:, None].to(torch.float32) * self.speeds.to(torch.float32)
        both = torch.cat((angles, angles), dim=-1)
        cosine, sine = both.cos().to(tokens.dtype), both.sin().to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, cosine, sine)
        likely: Tensor = self.last(self.norm(tokens)[:, -1:]).argmax(-1)
        return likely
