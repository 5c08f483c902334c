"""Whether memory suffices for a language model at its last depth. Asked before anything of that size runs."""

from __future__ import annotations

from opclock.board.accelerator import free_bytes
from opclock.errors import OptionError
from opclock.formatting import BYTES, quantity
from opclock.generation.cache_snapshot import CacheSnapshot
from opclock.generation.causal import CausalModel, filled_cache
from opclock.generation.plan import Plan
from opclock.generation.result import Request

# A cache in the model, the arguments of op calls that stand for it, and their outputs.
COPIES = 3
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

    def check(self, prompt_bytes: int = 0) -> None:
        """Raise OptionError where that is more than is free.

        Args:
            prompt_bytes: of the prompt's activations, once they are known. A longer one takes more in proportion.
        """
        last, longest = self._depths[-1], max(self._depths[-1], self._request.prompt)
        weights, cache = self._causal.weight_bytes, self._caches[-1]
        least = self._request.batch * (LOGIT_BYTES * self._causal.vocabulary + TOKEN_BYTES * longest)
        activations = max(least, prompt_bytes * longest // self._request.prompt)
        needed = weights + COPIES * sum(self._caches) + activations
        needed += self._processes * (weights + COPIES * cache + activations)
        free = free_bytes(self._causal.device)
        if needed > free:
            raise OptionError(
                f"{self._causal.name} needs {quantity(needed, BYTES)} to be timed at depth {last} (weights "
                f"{quantity(weights, BYTES)}, cache {quantity(cache, BYTES)}, activations "
                f"{quantity(activations, BYTES)}), and {quantity(free, BYTES)} are free on {self._causal.device}: give "
                "a smaller --batch, --prompt, --generate or --depths"
            )
