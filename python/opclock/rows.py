"""Single op calls in a row with themselves, recorded: what a kernel takes where no host hands it over."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from opclock.errors import ModelError
from opclock.measurement import Samples
from opclock.recording import Recording

ROW_S = 4e-4  # of one replay: hundreds of times what lies between two replays
LEAST_CALLS, MOST_CALLS = 4, 100
LONG_S = 5e-4  # recording saves a kernel a microsecond or two: nothing to one that takes so long
REPLAYS = 2


class Rows:
    """A recorded row of each op call of a pool that is warm; none where it cannot be recorded, or is a long one."""

    def __init__(self, pool: Any, count: int, device: str) -> None:  # noqa: ANN401
        alone_s, waits = np.empty(count), pool.waits
        pool.back_to_back(alone_s)
        shared = torch.cuda.graph_pool_handle()
        self._rows: list[tuple[Recording, int] | None] = []
        for number in range(count):
            row = None
            if 0 < alone_s[number] <= LONG_S and not waits[number]:
                calls = max(LEAST_CALLS, min(MOST_CALLS, round(ROW_S / alone_s[number])))
                row = _recorded(pool, number, calls, device, shared)
            self._rows.append(row)

    def round(self, seconds: Samples) -> None:
        """Fill in the seconds of one call by number; 0 where there is no row."""
        for number, row in enumerate(self._rows):
            seconds[number] = 0.0 if row is None else row[0].replay_s(REPLAYS) / row[1]


def _recorded(
    pool: Any, number: int, calls: int, device: str, shared: tuple[int, int]  # noqa: ANN401
) -> tuple[Recording, int] | None:  # fmt: skip
    try:
        return Recording(lambda: pool.issue(number, calls), device, pool=shared), calls
    except ModelError:
        return None
