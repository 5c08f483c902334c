"""Study B's data: one board's models through their runtimes, and what of the non-MAC cost each runtime removes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from opclock.benchmarking.batch_scaling import BatchCurve
from opclock.benchmarking.result import BenchRow
from opclock.errors import ReportError, first_line
from opclock.files import write_json
from opclock.flags import Flag, ordered, untrusted
from opclock.profiles.statistics import Samples
from opclock.runtimes.runtime import Settings
from opclock.tracing.operator_classes import MAC_CLASSES

SCHEMA = "opclock.landscape/1"
FILE = "landscape.json"
Basis = Literal["operators", "estimate"]


@dataclass(frozen=True)
class Split:
    """Where one inference's time goes, in seconds; and how that is known.

    operators: the runtime's own times of its operators; what they do not cover is host. estimate: opclock's own, for
    eager PyTorch.
    """

    mac_s: float
    non_mac_s: float
    basis: Basis

    @property
    def non_mac_share(self) -> float:
        """A fraction."""
        return self.non_mac_s / (self.mac_s + self.non_mac_s)


@dataclass(frozen=True)
class Entry:
    """One model on the board."""

    model: str
    task: str
    rows: tuple[BenchRow, ...]  # every runtime at batch 1, eager first
    batches: tuple[BenchRow, ...]  # those that take any batch, at several
    classes_s: dict[str, float]  # eager's estimated seconds by operator class, host included; empty if that failed
    post_s: Samples  # of post-processing in PyTorch; empty where there is none
    note: str = ""  # why there is no estimate

    def row(self, runtime: str) -> BenchRow | None:
        """The runtime's row at batch 1, if it has numbers."""
        return next((row for row in self.rows if row.runtime == runtime and row.status == "ok"), None)

    def reliable(self, runtime: str) -> bool:
        """Whether no flag says that the runtime's time at batch 1, or eager's beside it, is not reliable."""
        return not any(untrusted(row.flags) for row in (self.row("eager"), self.row(runtime)) if row)

    def speedup(self, runtime: str) -> float:
        """How many times faster than eager; NaN where either has no number."""
        eager, row = self.row("eager"), self.row(runtime)
        return eager.median_s / row.median_s if eager and row else float("nan")

    def split(self, runtime: str) -> Split | None:
        """MAC and non-MAC time of one inference in this runtime; None where the runtime does not tell."""
        row = self.row(runtime)
        if runtime == "eager":
            return self._eager_split(row) if row and self.classes_s else None
        if not row or not row.operators:
            return None
        operators_s = sum(operator.seconds for operator in row.operators)
        mac_s = sum(operator.seconds for operator in row.operators if operator.is_mac)
        mac_s *= min(1.0, row.median_s / operators_s)  # reporting takes time: never more than there was without
        return Split(mac_s, row.median_s - mac_s, "operators")

    def _eager_split(self, row: BenchRow) -> Split:
        mac_share = sum(self.classes_s.get(name, 0.0) for name in MAC_CLASSES) / sum(self.classes_s.values())
        return Split(mac_share * row.median_s, (1 - mac_share) * row.median_s, "estimate")

    def removed(self, runtime: str) -> float:
        """The fraction of eager's non-MAC time that is gone; NaN where it is not known."""
        eager, split = self.split("eager"), self.split(runtime)
        return 1 - split.non_mac_s / eager.non_mac_s if eager and split and eager.non_mac_s else float("nan")

    def curves(self) -> list[BatchCurve]:
        """Throughput against batch, by runtime."""
        curves = []
        for runtime in dict.fromkeys(row.runtime for row in self.batches):
            rows = [row for row in self.batches if row.runtime == runtime and row.status == "ok"]
            curves.append(BatchCurve(self.model, runtime, "measured", tuple(row.point for row in rows)))
        return [curve for curve in curves if curve.points]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, raw samples included."""
        return {
            "model": self.model, "task": self.task, "rows": [row.to_json() for row in self.rows],
            "batches": [row.to_json() for row in self.batches], "classes_s": self.classes_s,
            "post_s": self.post_s.tolist(), "note": self.note,
        }  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> Entry:
        """The inverse of to_json."""
        rows, batches = (tuple(map(BenchRow.from_json, data[name])) for name in ("rows", "batches"))
        return Entry(data["model"], data["task"], rows, batches, data["classes_s"],
                     np.array(data["post_s"], dtype=float), data["note"])  # fmt: skip


@dataclass(frozen=True)
class Landscape:
    """One board's numbers, under a label."""

    label: str
    board: dict[str, Any]
    settings: Settings
    entries: tuple[Entry, ...]
    seconds: float = 0.0  # wall time that went into it, that of models run anew for more runtimes included

    @property
    def runtimes(self) -> list[str]:
        """All that have a row, in order."""
        return list(dict.fromkeys(row.runtime for entry in self.entries for row in entry.rows))

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The flags of all rows."""
        return ordered(flag for entry in self.entries for row in (*entry.rows, *entry.batches) for flag in row.flags)

    def with_entry(self, entry: Entry, seconds: float) -> Landscape:
        """With one more model, or the same anew, that took so many wall seconds."""
        others = tuple(other for other in self.entries if other.model != entry.model)
        return replace(self, entries=(*others, entry), seconds=self.seconds + seconds)

    def in_order(self, models: Sequence[str]) -> Landscape:
        """With these models first, in this order."""
        order = {model: place for place, model in enumerate(models)}
        entries = sorted(self.entries, key=lambda entry: order.get(entry.model, len(order)))
        return replace(self, entries=tuple(entries))

    def entry(self, model: str) -> Entry | None:
        """The model's, if it is there."""
        return next((entry for entry in self.entries if entry.model == model), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.landscape/1"."""
        return {"schema": SCHEMA, "label": self.label, "board": self.board, "settings": asdict(self.settings),
                "seconds": self.seconds, "entries": [entry.to_json() for entry in self.entries]}  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OptionError where it cannot be written."""
        write_json(path, self.to_json(), indent=1)

    @staticmethod
    def load(path: Path) -> Landscape:
        """Read a board's file. Raises ReportError where it is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA:
                raise ReportError(
                    f"{path} has schema {data['schema']!r}, not {SCHEMA!r}: write it again with this opclock"
                )
            entries = tuple(map(Entry.from_json, data["entries"]))
            return Landscape(data["label"], data["board"], Settings(**data["settings"]), entries, data["seconds"])
        except OSError as error:
            raise ReportError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ReportError(f"{path} is no landscape.json of opclock ({first_line(error)}): name one that "
                              "'opclock study landscape' has written") from error  # fmt: skip
