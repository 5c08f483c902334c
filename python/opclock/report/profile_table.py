"""The table of a profile's contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opclock.formatting import BYTES, counted, quantity
from opclock.report.table import Table, texts

if TYPE_CHECKING:
    from opclock.profiles.maintenance import ProfileInfo


def table(info: ProfileInfo) -> Table:
    """One row for each kind of content."""
    rows = [
        ("board", info.board["identity"]),
        ("op calls", f"{info.op_calls} distinct, {counted(info.measurements, 'measurement')}"),
        *(("pools", f"{count} {name}") for name, count in info.pools.items()),
        ("interrupted", counted(info.interrupted, "pool")),
        *([("running", counted(info.running, "pool"))] if info.running else []),
        *(("sweep", f"{count} of {name}") for name, count in info.configurations.items()),
        ("hosts", str(info.hosts)),
        ("ceilings", str(info.ceilings)),
        ("size", quantity(info.nbytes, BYTES)),
    ]
    return Table([texts("content", [name for name, _ in rows]), texts("amount", [text for _, text in rows])])
