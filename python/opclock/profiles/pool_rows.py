"""Makes a Pool of a profile's rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from opclock.errors import ProfileError
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings, contended, disturbed, kept
from opclock.profiles.pool import FAULT, REAL, SINGLE, WATCHED, Pool
from opclock.profiles.statistics import Samples

Ask = Callable[..., list[tuple[Any, ...]]]  # a query and its parameters; returns all rows


def pool_of_rows(path: Path, ask: Ask, number: int, *, all_rounds: bool) -> Pool:
    """Make one pool. See ``ProfileReader.pool``.

    Args:
        path: of the profile, for messages.
        ask: queries the profile.
        number: the pool's number.
        all_rounds: whether to return disturbed rounds too.
    """
    header = ask(
        "SELECT c.timing, c.device, c.threads, c.working_set, p.ended, h.key, h.kinds, p.context FROM pool p "
        "JOIN condition c ON c.id = p.condition LEFT JOIN host h ON h.id = p.host WHERE p.id = ?", number
    )[0]  # fmt: skip
    members = ask(
        "SELECT o.key, calls_per_sample, reason FROM member JOIN op_call o ON o.id = member.op_call "
        "WHERE pool = ? ORDER BY position", number
    )  # fmt: skip
    rows = ask(
        "SELECT seconds, anchor_s, host, block, process, wall_s, wait_s, switches, cpu_s, steal_s, faults "
        "FROM round WHERE pool = ? ORDER BY number", number
    )  # fmt: skip
    readings = Readings(*np.array([row[5:] for row in rows], dtype=float).reshape(-1, 6).T)
    marks = disturbed(readings)
    counting = np.ones(len(rows), dtype=bool) if all_rounds else kept(readings)
    kinds = tuple(json.loads(header[6])) if header[6] else ()
    blocks, processes = (np.array([row[column] for row in rows], dtype=int) for column in (3, 4))
    controls = _controls(ask, number, int(blocks[-1]) + 1 if len(rows) else 0)
    beside = (REAL, SINGLE, WATCHED, FAULT)
    watching = {name: controls.pop(name) for name in list(controls) if name.startswith(beside)}
    return Pool(
        number=number,
        condition=Condition(*header[:4]),
        keys=tuple(member[0] for member in members),
        calls_per_sample=tuple(member[1] for member in members),
        reasons=tuple(member[2] for member in members),
        ended=header[4],
        seconds=_matrix(path, [row[0] for row in rows], len(members))[counting],
        control_s=np.array([row[1] for row in rows], dtype=float)[counting],
        host_key=header[5] or "",
        host_s=_matrix(path, [row[2] for row in rows], len(kinds))[counting] if kinds else np.empty((0, 0)),
        host_kinds=kinds,
        context=json.loads(header[7]),
        blocks=blocks[counting],
        processes=processes[counting] if len(set(processes)) > 1 else None,
        faults=readings.faults[counting],
        rounds=len(rows),
        disturbed=int(marks.sum()),
        contended=contended(int((~marks).sum()), len(rows)),
        controls=controls,
        watching=watching,
    )


def _controls(ask: Ask, pool: int, blocks: int) -> dict[str, Samples]:
    """By the control workload's name: its seconds by block; NaN where it was not sampled."""
    controls: dict[str, Samples] = {}
    for block, name, seconds in ask("SELECT block, name, seconds FROM control WHERE pool = ?", pool):
        if block < blocks:
            controls.setdefault(name, np.full(blocks, np.nan))[block] = seconds
    return controls


def _matrix(path: Path, blobs: Sequence[bytes], columns: int) -> Samples:
    if any(len(blob) != 8 * columns for blob in blobs):
        raise ProfileError(f"the profile {path} is damaged: a round has not one number for each of its op calls")
    return np.frombuffer(b"".join(blobs), dtype="<f8").reshape(len(blobs), columns)
