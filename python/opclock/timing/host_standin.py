"""A substitute for a model whose Python cannot be played: small models with common kinds of calls."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from opclock.errors import OpCallError
from opclock.profiles.statistics import Samples
from opclock.timing.host_playback import Forward, Host, PlayedHost
from opclock.timing.small_models import small_models
from opclock.tracing.torch_state import torch_plain
from opclock.tracing.trace import Trace


class KindsHost:
    """Replaces a model whose Python cannot be played by small models with common kinds of calls.

    They are played one after another until the pool's round ends. So the kernels of the measured model displace their
    host work from the caches, as they would displace the model's.
    """

    def __init__(self) -> None:
        self._models = small_models()
        self.key = "kinds-" + hashlib.sha256("".join(one.key for one in self._models).encode()).hexdigest()[:16]
        self.kinds = tuple(kind for one in self._models for kind in one.kinds)
        self.python_calls = tuple(count for one in self._models for count in one.python_calls)
        self._latest = [one.alone() for one in self._models]
        self._next = 0

    def rounds(self, pool: Any, seconds: Samples, host_s: Samples, control_s: Samples, unkept: int = 0) -> None:  # noqa: ANN401
        """Run rounds, each with as many plays as it needs. Host seconds by kind are those of the last plays."""
        with torch.inference_mode(), torch_plain():
            for _ in range(unkept):
                self._round(pool, seconds[0])
                pool.discard_last()
            for number in range(len(control_s)):
                control_s[number] = self._round(pool, seconds[number])
                host_s[number] = np.concatenate(self._latest)

    def _round(self, pool: Any, seconds: Samples) -> float:  # noqa: ANN401
        pool.begin_round()
        begun = pool.visits_left
        while pool.visits_left > 1:
            self._play(pool, begun)
        return float(pool.end_round(seconds))

    def _play(self, pool: Any, begun: int) -> None:  # noqa: ANN401
        number = self._next % len(self._models)
        self._next += 1
        model, host_s = self._models[number], np.empty_like(self._latest[number])
        model.play(host_s, pool)
        # Calls after the round's end had no kernels between them; they count only if the kind was not played before.
        if pool.visits_left > 1 or begun <= len(host_s):
            self._latest[number] = host_s


def host_for(trace: Trace, forward: Forward | None) -> tuple[Host, str]:
    """Choose the host that plays while the op calls of a trace are timed.

    Args:
        trace: the model.
        forward: calls the model on its inputs; None where there is no model.

    Returns:
        The model's own host and "", or the substitute and the reason for it in one line.
    """
    if forward is None:
        return KindsHost(), "no model to play: its host cost comes from a table by kind of call"
    try:
        return PlayedHost(trace, forward), ""
    except OpCallError as error:
        remark = "its host cost comes from a table by kind of call, and the model's own Python is left out"
        return KindsHost(), f"{error}; {remark}: the estimate is likely too low"
