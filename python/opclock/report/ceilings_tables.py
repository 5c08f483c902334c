"""Tables of a board's ceilings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from opclock.formatting import BYTES_PER_SECOND, MACS_PER_SECOND, SECONDS, counted, memory
from opclock.report.table import Table, numbers, ready, texts

if TYPE_CHECKING:
    from opclock.prediction.ceilings import Ceilings


def multiply_add_table(ceilings: Ceilings, instructions: Callable[[str], str]) -> Table:
    """Multiply-adds per second by dtype, and the instructions used."""
    dtypes = list(ceilings.multiply_adds)
    return Table([
        texts("dtype", dtypes),
        numbers("rate", list(ceilings.multiply_adds.values()), MACS_PER_SECOND),
        texts("flags", ["slower_than_float32" if name in ceilings.slow_dtypes else "" for name in dtypes]),
        texts("instructions", [instructions(dtype) for dtype in dtypes], 1),
    ], counted(ceilings.threads, "thread"))  # fmt: skip


def memory_table(ceilings: Ceilings) -> Table:
    """Bandwidth by access pattern and latency of one load, one row for each working set."""
    sizes = list(ceilings.loads_per_s)
    return Table([
        ready("working set", [memory(size) for size in sizes]),
        *(numbers(name, [rates[size] for size in sizes], BYTES_PER_SECOND, place)
          for place, (name, rates) in enumerate(ceilings.bytes_per_s.items())),
        numbers("latency", [1 / ceilings.loads_per_s[size] for size in sizes], SECONDS, 1),
    ])  # fmt: skip
