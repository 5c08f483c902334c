"""Whether memory suffices for a language model at its last depth. Asked before anything of that size runs."""

from __future__ import annotations

from opclock.board.accelerator import free_bytes
from opclock.errors import OptionError
from opclock.formatting import BYTES, quantity
from opclock.generation.cache_snapshot import CacheSnapshot
from opclock.generation.causal import CausalModel, filled_cache
from opclock.generation.plan import Plan
from opclock.generation.result import Request

FEW = (2, 3)  # tokens of one sequence, from which the bytes of any cache follow
LOGIT_BYTES, TOKEN_BYTES = 4, 8


class MemoryNeed:
    """Bytes that timing a language model takes beside the model itself, and its processes."""

    def __init__(self, causal: CausalModel, request: Request, plan: Plan, processes: int) -> None:
        """Run two and three tokens of one sequence.

        Args:
            causal: the model, whose weights are in memory already.
            request: prompt and generation.
            plan: the depths.
            processes: how many others load the model as well.

        Raises:
            ModelError: the model raises, or returns no logits of the next token or no cache.
        """
        few, more = (CacheSnapshot(filled_cache(causal, 1, tokens)).nbytes for tokens in FEW)
        self._causal, self._processes = causal, processes
        self._depths = plan.depths
        self._caches = [request.batch * (few + (more - few) * max(0, depth - FEW[0])) for depth in plan.depths]
        self._request = request

    def parts(self, prompt_bytes: int) -> dict[str, int]:
        """What is held at the same time, by what it is for.

        Weights: those of the model are in memory already, and op calls have others. Caches: a program has one, and its
        op calls another. The tokens of a static cache have the same op calls at all depths, and write into it; those of
        a growing one make a new cache. Activations: arguments of the prompt's op calls, and their outputs; before that,
        those of the longest prompt, which fills a cache.

        Args:
            prompt_bytes: of the prompt's activations. A longer prompt takes more in proportion.
        """
        grows, prompt = self._request.cache == "dynamic", max(self._least(self._request.prompt), prompt_bytes)
        longest = max(self._least(self._depths[-1]), prompt * self._depths[-1] // self._request.prompt)
        parts = {
            "weights": self._causal.weight_bytes,
            "caches": sum(self._caches) + (sum(self._caches) if grows else 0) + self._caches[-1],
            "activations": max(2 * prompt, longest),
        }
        if self._processes:
            generated = self._caches[self._depths.index(self._request.depths[-1])]
            each = self._causal.weight_bytes + (2 if grows else 1) * generated + prompt
            parts["other processes"] = self._processes * each
        return parts

    def _least(self, tokens: int) -> int:
        """Bytes of logits and numbers of tokens, which every prompt has."""
        return self._request.batch * (LOGIT_BYTES * self._causal.vocabulary + TOKEN_BYTES * tokens)

    def check(self, prompt_bytes: int = 0) -> None:
        """Raise OptionError where more memory is needed than is free.

        Args:
            prompt_bytes: of the prompt's activations, once they are known.
        """
        parts, free = self.parts(prompt_bytes), free_bytes(self._causal.device)
        needed = sum(parts.values())
        if needed > free:
            named = ", ".join(f"{quantity(nbytes, BYTES)} for {name}" for name, nbytes in parts.items())
            fewer = ", fewer --processes" if self._processes else ""
            raise OptionError(
                f"{self._causal.name} needs {quantity(needed, BYTES)} to be timed at depth {self._depths[-1]} "
                f"({named}), and {quantity(free, BYTES)} are free on {self._causal.device}: give a smaller --batch, "
                f"--prompt, --generate or --depths{fewer}"
            )
