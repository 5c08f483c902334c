"""A board of a farm as the scheduler knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_SKEW_S = 60.0  # of a board's clock: by its clock a profile knows what was measured last


@dataclass(frozen=True)
class FarmBoard:
    """One board that has joined.

    Attributes:
        address: dask's, for the scheduler.
        board: its facts, as ``Board.to_json`` gives them.
        equals: the resource that equal boards have, too.
        skew_s: how far its clock is ahead of the scheduler's.
        job: that it runs now; "" where it is free.
        queue: jobs that wait for it.
    """

    name: str
    address: str
    tags: tuple[str, ...]
    board: dict[str, Any]
    checks: tuple[dict[str, str], ...]
    versions: dict[str, str]
    trouble: str
    equals: str
    skew_s: float
    job: str
    drained: bool
    queue: int = 0

    @staticmethod
    def of(address: str, worker: dict[str, Any], queue: int = 0) -> FarmBoard | None:
        """Read what dask tells of a worker; None where it is no board of opclock's."""
        told, now = worker.get("opclock"), worker.get("metrics", {}).get("opclock")
        if not told or not now:
            return None
        return FarmBoard(
            told["name"], address, tuple(told["tags"]), told["board"], tuple(told["checks"]), told["versions"],
            told["trouble"], told["equals"], now["now"] - worker["last_seen"], now["job"], now["drained"], queue,
        )  # fmt: skip

    @property
    def state(self) -> str:
        """In one word: free, busy, draining (it has a last job) or drained."""
        busy = bool(self.job or self.queue)
        if self.drained:
            return "draining" if busy else "drained"
        return "busy" if busy else "free"

    @property
    def clock(self) -> str:
        """What is wrong with its clock, or ""."""
        if abs(self.skew_s) <= MAX_SKEW_S:
            return ""
        from opclock.formatting import duration

        return f"its clock is {duration(abs(self.skew_s))} {'ahead' if self.skew_s > 0 else 'behind'}"

    def to_json(self) -> dict[str, Any]:
        """What every result says of its board."""
        return {"name": self.name, "tags": list(self.tags), "identity": self.board.get("identity", ""),
                "commit": self.board.get("commit", ""), "versions": self.versions}  # fmt: skip
