"""Sets PyTorch's number of threads during timing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from opclock.board.cores import check_threads
from opclock.tracing.torch_state import torch_kept


@contextmanager
def thread_team(threads: int) -> Iterator[None]:
    """Set PyTorch's threads inside the block. Afterwards its settings are as before, whatever a model has changed.

    Raises OptionError below one thread, and above the cores that this process may use.
    """
    check_threads(threads)
    with torch_kept():
        torch.set_num_threads(threads)
        yield
