"""Bad uses made from seeds, by ``benchmarks.fuzz``: a few here, a thousand with ``python -m benchmarks.fuzz``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAMAGES = """
import sys
from pathlib import Path
from benchmarks.fuzz import __main__ as fuzz, running
make = fuzz.make_files
def make_then_break(path):
    make(path)
    running.main = lambda arguments: (Path("text.txt").write_text("gone"), sys.exit(3))
fuzz.make_files = make_then_break
sys.exit(fuzz.fuzz(["--count", "3", "--processes", "0"]))
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
                          timeout=600)  # fmt: skip


def test_bad_uses_end_in_one_line_and_damage_nothing():
    done = run("-m", "benchmarks.fuzz", "--count", "30", "--processes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 bad uses" in done.stdout


def test_the_fuzz_finds_damage():  # by the two commands of three uses; the third is a call of a function
    done = run("-c", DAMAGES)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "text.txt was changed" in done.stdout
    assert "exit code 3" in done.stdout
