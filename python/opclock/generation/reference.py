"""Real greedy generation: the first token apart, then token by token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from opclock.board.accelerator import wait_for
from opclock.board.contention import Contention
from opclock.errors import ModelError, model_errors
from opclock.generation.causal import CausalModel, greedy
from opclock.profiles.statistics import Samples
from opclock.timing.runs import Runs, one_by_one

WINDOW = 8  # tokens to each side of a depth: their times stand for it, as a single token's vary
BLOCK_S = 0.5  # of generations in a row
MAX_RUNS = 5  # generations in a block
WARM_UP_TOKENS = 3


class GenerationRun:
    """Generates in blocks for two halves in turn."""

    def __init__(self, causal: CausalModel, batch: int, prompt: int, generate: int) -> None:
        """Generate a few tokens. Raises ModelError where the model raises."""
        self._causal, self._generate = causal, generate
        self._ids = causal.prompt(batch, prompt)
        contention = Contention()
        self._halves = (Runs(contention), Runs(contention))
        self._tokens: tuple[list[Samples], list[Samples]] = ([], [])
        self._warm_up()

    def _warm_up(self) -> None:
        with model_errors(f"on real tokens, {self._causal.name}"):
            self._once(WARM_UP_TOKENS)

    def _once(self, count: int) -> Samples:
        """Seconds of each of so many tokens."""
        device = self._causal.device
        marks = np.empty(count + 1)
        with torch.inference_mode():
            wait_for(device)
            marks[0] = time.perf_counter()
            logits, cache = self._causal.prefill(self._ids)
            token = greedy(logits)
            wait_for(device)
            marks[1] = time.perf_counter()
            for number in range(2, count + 1):
                logits, cache = self._causal.decode(token, cache)
                token = greedy(logits)
                wait_for(device)
                marks[number] = time.perf_counter()
        return np.diff(marks)

    def _kept(self, half: int) -> float:
        tokens = self._once(self._generate)
        self._tokens[half].append(tokens)
        return float(tokens.sum())

    def block(self, half: int) -> float:
        """Generate for a half (0 or 1) after a few tokens that are not kept. Returns the wall seconds it took.

        Raises ModelError where the model raises.
        """
        start = time.perf_counter()
        with model_errors(f"in a later run, {self._causal.name}"):
            first_s = self._tokens[half][0].sum() if self._tokens[half] else BLOCK_S
            count = max(1, min(MAX_RUNS, int(BLOCK_S / first_s)))
            self._halves[half].block(one_by_one(lambda: self._kept(half), self._warm_up), count)
        return time.perf_counter() - start

    @property
    def clean_runs(self) -> int:
        """The number of generations, in the half with fewer of them, that no other program disturbed."""
        return min(half.clean for half in self._halves)

    def samples(self) -> dict[str, Any]:
        """All that counts, as JSON-ready data for another process."""
        kept = [np.array(tokens)[half.kept].tolist() for tokens, half in zip(self._tokens, self._halves, strict=True)]
        return {"halves": kept, "contended": any(half.contended for half in self._halves)}


@dataclass(frozen=True)
class GenerationReference:
    """Real generation, in two halves whose blocks alternate.

    Attributes:
        prompt: tokens before the first generated one.
        first: seconds of the first half, generations x tokens.
        repeat: the same of the second half.
        contended: whether other programs disturbed too many.
        loops_s: seconds for a token that loops of transformers take outside the model, by a name in ``loops.LOOPS``;
            empty where that was not asked for.
    """

    prompt: int
    first: Samples
    repeat: Samples
    contended: bool = False
    loops_s: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def joined(prompt: int, parts: Sequence[dict[str, Any]]) -> GenerationReference:
        """From the samples of each process. Raises ModelError where there are none."""
        halves = [np.array([row for part in parts for row in part["halves"][half]]) for half in (0, 1)]
        if not all(half.size for half in halves):
            raise ModelError("no generation was timed")
        return GenerationReference(prompt, halves[0], halves[1], any(part["contended"] for part in parts))

    @cached_property
    def samples(self) -> Samples:
        """Both halves."""
        return np.concatenate([self.first, self.repeat])

    @property
    def ttft_s(self) -> float:
        """The median time to the first token."""
        return _ttft_s(self.samples)

    @property
    def total_s(self) -> float:
        """The median time of a whole generation."""
        return _total_s(self.samples)

    @property
    def tpot_s(self) -> float:
        """The time of a token after the first: the median of the means of generations."""
        return _tpot_s(self.samples)

    def tpot_at_s(self, depth: int) -> float | None:
        """The time of a token near this depth: the median of the means of generations, as ``tpot_s`` is.

        None where no generation came there.
        """
        number = depth - self.prompt + 1  # of the token that begins with so many in the cache; the first has number 0
        if not 1 <= number < self.samples.shape[1]:
            return None
        return _mean_s(self.samples[:, max(1, number - WINDOW) : number + WINDOW + 1])

    @property
    def repeat_errors(self) -> dict[str, float]:
        """By ttft, tpot and total: the second half over the first, - 1. No estimate can be expected to be better."""
        measures = {"ttft": _ttft_s, "tpot": _tpot_s, "total": _total_s}
        return {name: measure(self.repeat) / measure(self.first) - 1.0 for name, measure in measures.items()}


def _ttft_s(samples: Samples) -> float:
    return float(np.median(samples[:, 0]))


def _tpot_s(samples: Samples) -> float:
    return _mean_s(samples[:, 1:])


def _total_s(samples: Samples) -> float:
    return float(np.median(samples.sum(axis=1)))


def _mean_s(tokens: Samples) -> float:
    """The median over generations of their mean token."""
    return float(np.median(tokens.mean(axis=1)))
