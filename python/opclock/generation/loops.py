"""What ``generate`` of transformers does between two tokens: the host cost of a real loop, outside the model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from opclock.board.accelerator import wait_for
from opclock.errors import model_errors
from opclock.generation.causal import CausalModel

# Options of ``generate``, by the name in reports.
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"do_sample": False, "num_beams": 1},
    "sampling": {"do_sample": True, "num_beams": 1, "temperature": 0.8, "top_k": 50},
    "beam_search": {"do_sample": False, "num_beams": 4},
}
TOKENS = 16  # of each generation
RUNS = 2  # generations that count, after one that does not


class _Stopwatch:
    """Notes the seconds from the end of each run of a module to the beginning of the next."""

    def __init__(self, device: str) -> None:
        self.seconds: list[float] = []
        self._device = device
        self._ended: float | None = None

    def begin(self) -> None:
        """A generation begins: what comes before its first run does not count."""
        self._ended = None

    def before(self, *_: object) -> None:
        """The module is called."""
        if self._ended is not None:
            self.seconds.append(time.perf_counter() - self._ended)

    def after(self, *_: object) -> None:
        """The module has returned."""
        wait_for(self._device)
        self._ended = time.perf_counter()


def loop_costs(causal: CausalModel, batch: int, prompt: int, generate: int) -> dict[str, float]:
    """Time what each of LOOPS does between two runs of the model.

    Args:
        causal: a model of transformers.
        batch: number of sequences.
        prompt: tokens of each.
        generate: tokens to generate; at most TOKENS are.

    Returns:
        The median seconds for a token of all sequences, by name. The model's own time is not part of it.

    Raises:
        ModelError: the model raises.
    """
    module: Any = causal.module
    ids = causal.prompt(batch, prompt)
    costs = {}
    for name, options in LOOPS.items():
        watch = _Stopwatch(causal.device)
        hooks = [module.register_forward_pre_hook(watch.before), module.register_forward_hook(watch.after)]
        try:
            with torch.inference_mode(), model_errors(f"in {name}, {causal.name}"):
                for number in range(RUNS + 1):
                    watch.begin()
                    module.generate(
                        ids, attention_mask=torch.ones_like(ids), max_new_tokens=min(TOKENS, generate), pad_token_id=0,
                        **options,
                    )  # fmt: skip
                    if number == 0:
                        watch.seconds.clear()
        finally:
            for hook in hooks:
                hook.remove()
        if watch.seconds:  # an end-of-text token may come first
            costs[name] = float(np.median(watch.seconds))
    return costs
