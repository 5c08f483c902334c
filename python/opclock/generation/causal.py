"""A language model as two functions: a prompt to logits and a cache, and one more token with that cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from opclock.errors import ModelError, OptionError, model_errors
from opclock.models.loading import Model
from opclock.models.random_inputs import smallest_embedding

CacheKind = Literal["dynamic", "static"]
CACHE_NAMES = ("cache", "past_key_values")  # of the argument in transformers, the newest first
LIMITS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
)  # of tokens, in configurations
SEED = 0  # of the prompt

Prefill = Callable[[torch.Tensor], tuple[torch.Tensor, Any]]
Decode = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]


@dataclass(frozen=True)
class CausalModel:
    """A language model.

    Attributes:
        name: in reports.
        module: holds the parameters.
        prefill: numbers of a prompt's tokens (batch x tokens) to the logits of the next token (batch x vocabulary) and
            the cache.
        decode: numbers of one more token (batch x 1) and the cache to the same.
        vocabulary: numbers of tokens are below it.
        max_tokens: how many tokens the model allows; None where it does not say.
        empty_cache: makes a cache without tokens; None where only ``prefill`` makes one.
    """

    name: str
    module: torch.nn.Module
    prefill: Prefill
    decode: Decode
    vocabulary: int
    max_tokens: int | None = None
    empty_cache: Callable[[], Any] | None = None

    @property
    def device(self) -> str:
        """Where the parameters are."""
        return str(next((one.device for one in self.module.parameters()), torch.device("cpu")))

    @property
    def weight_bytes(self) -> int:
        """Bytes of parameters and buffers, each once."""
        tensors = [part for one in (*self.module.parameters(), *self.module.buffers()) for part in _parts(one)]
        storages = [one.untyped_storage() for one in tensors]
        return sum({one.data_ptr() or id(one): one.nbytes() for one in storages}.values())

    def prompt(self, batch: int, tokens: int) -> torch.Tensor:
        """Random token numbers, the same each time (batch x tokens)."""
        generator = torch.Generator().manual_seed(SEED)
        return torch.randint(self.vocabulary, (batch, tokens), generator=generator).to(self.device)

    def check_length(self, prompt: int, generate: int, depth: int) -> None:
        """Raise OptionError where the model does not allow so many tokens, or a token at this depth."""
        if self.max_tokens is None or max(prompt + generate, depth + 1) <= self.max_tokens:
            return
        asked = f"a prompt of {prompt} and {generate} generated tokens are {prompt + generate}"
        if prompt + generate <= self.max_tokens:
            asked = f"a token at depth {depth} is number {depth + 1}"
        raise OptionError(f"{asked}, and {self.name} allows {self.max_tokens}: give fewer tokens")


def _parts(tensor: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401 - mypy finds that no subclass can be both
    """The tensors that a tensor wraps, such as those of a quantised weight; itself where it wraps none."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _parts(getattr(tensor, name))


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """The most likely token of each sequence (batch x 1)."""
    return logits.argmax(-1, keepdim=True)


def causal_model(model: Model, cache: CacheKind, tokens: int) -> CausalModel:
    """How a loaded model generates text.

    Args:
        model: of transformers, or from a factory that names ``prefill`` and ``decode``.
        cache: the kind of cache, for models of transformers: it grows by concatenation ("dynamic"), or has room for all
            tokens from the start ("static").
        tokens: of prompt and generation together, for which a static cache has room.

    Returns:
        Its two functions.

    Raises:
        ModelError: it has no cache.
        OptionError: a static cache for a factory's own functions.
    """
    prefill, decode = model.functions.prefill, model.functions.decode
    if prefill is not None and decode is not None:
        if cache != "dynamic":
            raise OptionError(f"cache={cache!r}: {model.name} makes its own cache in prefill; leave it out")
        return CausalModel(model.name, model.module, prefill, decode, smallest_embedding(model.module))
    return _of_transformers(model, cache, tokens)


def _of_transformers(model: Model, kind: CacheKind, tokens: int) -> CausalModel:
    module: Any = model.module
    taken = _parameters(module)
    name = next((one for one in CACHE_NAMES if one in taken), None)
    config = getattr(module, "config", None)
    if name is None or config is None or not _can_generate(module):
        raise ModelError(
            f"{model.name} ({type(module).__name__}) generates no text with a cache: give a causal language model of "
            "transformers, or a factory whose last item is {'prefill': FUNCTION, 'decode': FUNCTION}"
        )
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{model.name} is an encoder with a decoder, which has no prompt of tokens: give a causal model"
        )
    text = config.get_text_config()
    keep = {"logits_to_keep": 1} if "logits_to_keep" in taken else {}

    def decode(ids: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:  # noqa: ANN401
        output = module(input_ids=ids, use_cache=True, return_dict=True, **{name: cache}, **keep)
        return output.logits[:, -1], getattr(output, name)

    def empty_cache() -> Any:  # noqa: ANN401
        import transformers

        if kind == "dynamic":
            return transformers.DynamicCache(config=config)
        return transformers.StaticCache(config=config, max_cache_len=tokens)

    limits = (getattr(text, limit, None) for limit in LIMITS)
    return CausalModel(
        model.name, module, lambda ids: decode(ids, empty_cache()), decode, int(text.vocab_size),
        next((limit for limit in limits if isinstance(limit, int) and limit > 0), None), empty_cache,
    )  # fmt: skip


def _parameters(module: torch.nn.Module) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(module.forward).parameters)
    except (ValueError, TypeError):
        return ()


def _can_generate(module: Any) -> bool:  # noqa: ANN401
    asked = getattr(module, "can_generate", None)
    return callable(asked) and bool(asked())


def filled_cache(causal: CausalModel, batch: int, depth: int) -> Any:  # noqa: ANN401
    """A cache with so many tokens, as the model leaves it there: it runs a prompt, and the last token alone.

    Args:
        causal: the model.
        batch: number of sequences.
        depth: tokens in the cache.

    Returns:
        The cache.

    Raises:
        ModelError: the model raises, or returns no logits of the next token, or no cache.
        OptionError: depth 0 for a model whose ``prefill`` makes the cache.
    """
    with torch.inference_mode(), model_errors(f"with {depth} tokens, {causal.name}"):
        if depth == 0:
            if causal.empty_cache is None:
                raise OptionError(f"depth 0: {causal.name} makes its cache in prefill; give depths of at least 1")
            return causal.empty_cache()
        answer = causal.prefill(causal.prompt(batch, max(1, depth - 1)))
        logits, cache = _checked(answer, "prefill", causal.name, batch)
        if depth > 1:
            answer = causal.decode(greedy(logits), cache)
            _, cache = _checked(answer, "decode", causal.name, batch)
        return cache


def _checked(answer: Any, function: str, name: str, batch: int) -> tuple[torch.Tensor, Any]:  # noqa: ANN401
    """The logits and the cache that a function of a model returned. Raises ModelError for anything else."""
    wanted = f"logits of the next token alone ({batch} x vocabulary)"
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise ModelError(f"{function} of {name} returns {type(answer).__name__}: return {wanted} and the cache")
    logits, cache = answer
    if not isinstance(logits, torch.Tensor):
        raise ModelError(f"{function} of {name} returns {type(logits).__name__} as logits: return {wanted}")
    if logits.dim() != 2 or len(logits) != batch:
        raise ModelError(
            f"{function} of {name} returns logits of {'x'.join(map(str, logits.shape)) or 'one number'}: return "
            f"{wanted}"
        )
    if cache is None:
        raise ModelError(
            f"{function} of {name} returns no cache: without one, each token needs the whole text again; give a model "
            "with a cache"
        )
    return logits, cache
