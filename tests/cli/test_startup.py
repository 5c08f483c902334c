"""What a command imports: the heavy libraries only where it needs them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers import chain, filled

HEAVY = ("matplotlib", "pandas", "rich", "scipy.stats", "sklearn", "torch")


def imported(*arguments):
    """Which of the heavy libraries a command has imported when it ends."""
    code = f"""
import atexit, sys
atexit.register(lambda: print("HEAVY", *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
from opclock.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr.strip().splitlines()[-1].split()[1:]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("estimate", "--help"), ("doctor", "--help")])
def test_help_imports_nothing_heavy(arguments):
    assert imported(*arguments) == []


def test_estimate_of_a_measured_model_imports_nothing_heavy(tmp_path):
    trace = chain("conv2d", "relu")
    filled(tmp_path / "p.sqlite", trace, {"conv2d": 1e-3, "relu": 1e-5})
    (tmp_path / "t.json").write_text(json.dumps(trace.to_json()))
    assert imported("estimate", tmp_path / "t.json", "--profile", tmp_path / "p.sqlite", "--threads", 2) == []
