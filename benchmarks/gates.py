"""Counts how often `opclock gate` is wrong: equal sides, and a head with an extra layer of about 10 %.

    python -m benchmarks.gates [--count 20] [--json FILE]

Needs no quiet machine: a gate must hold on a busy one. Each gate runs one of three small models in ten processes, five
of each side, with one thread. Every second gate has equal sides. It takes about 20 seconds, longer where other programs
run. With --json, results are added to those in the file, and the counts are those of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from opclock.files import write_json
from opclock.gating.gate import gate
from opclock.gating.sides import Side

# One of ten equal layers takes about a tenth of the model's time.
MODELS = """
import torch
from torch import nn
EXTRA = {extra}
def convolutions():
    layers = [nn.Sequential(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()) for _ in range(10 + EXTRA)]
    return nn.Sequential(*layers), torch.randn(1, 24, 28, 28)
def linears():
    layers = [nn.Sequential(nn.Linear(384, 384), nn.GELU()) for _ in range(10 + EXTRA)]
    return nn.Sequential(*layers), torch.randn(32, 384)
def attention():
    layer = nn.TransformerEncoderLayer(96, 4, 192, batch_first=True)
    return nn.TransformerEncoder(layer, 10 + EXTRA, enable_nested_tensor=False), torch.randn(1, 48, 96)
"""
NAMES = ("convolutions", "linears", "attention")


def sides(folder: Path, extra: int) -> tuple[Side, Side]:
    """Base and head, each with a file of models of its own."""
    made = []
    for name, layers in (("base", 0), ("head", extra)):
        place = folder / name
        place.mkdir()
        (place / "models.py").write_text(MODELS.format(extra=layers), encoding="utf-8")
        made.append(Side(name, name, sys.executable, place, (str(place),)))
    return made[0], made[1]


def run(number: int) -> dict[str, object]:
    """Run the gate of this number."""
    extra, start = number % 2, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = gate([f"models.py:{NAMES[number // 2 % len(NAMES)]}"], sides(Path(folder), extra), threads=1)
    return {"extra": extra, "wall_s": time.monotonic() - start, **done.rows[0].to_json()}


def main() -> int:
    """Run gates, and print what they said; 1 where they were wrong too often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="gates in this run")
    parser.add_argument("--json", type=Path, help="a file that keeps results from run to run")
    chosen = parser.parse_args()
    kept = chosen.json is not None and chosen.json.exists()
    rows = json.loads(chosen.json.read_text(encoding="utf-8"))["rows"] if kept else []
    for _ in range(chosen.count):
        row = run(len(rows))
        rows.append(row)
        print(f"{'extra layer' if row['extra'] else 'equal sides'}  {row['model']:24}  {row['ratio']:.3f} "
              f"[{row['low']:.3f}, {row['high']:.3f}]  floor {row['floor']:.3f}  {row['verdict']:9}  "
              f"{row['wall_s']:.0f} s", flush=True)  # fmt: skip
        if chosen.json is not None:
            write_json(chosen.json, {"schema": "opclock.benchmark_gates/1", "rows": rows})
    words = [Counter(row["verdict"] for row in rows if row["extra"] == extra) for extra in (0, 1)]
    for name, counts in zip(("equal sides", "extra layer"), words, strict=True):
        listed = ", ".join(f"{count} {word}" for word, count in counts.most_common())
        print(f"{name}: {counts.total()} gates: {listed}")
    return int(words[0]["slower"] > 0.02 * words[0].total() or words[1]["slower"] < 0.95 * words[1].total())


if __name__ == "__main__":
    sys.exit(main())
