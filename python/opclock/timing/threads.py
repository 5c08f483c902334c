"""Sets PyTorch's number of threads during timing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from opclock.board.cores import check_threads


@contextmanager
def thread_team(threads: int) -> Iterator[None]:
    """Set PyTorch's threads inside the block. Raises OptionError below 1, and above the cores it may use."""
    check_threads(threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
