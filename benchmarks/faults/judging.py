"""Runs a command on a model's file with a fault, and says what was wrong."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.kinds import source
from benchmarks.fuzz.running import quiet
from opclock.profiles.profile import Profile
from opclock.tracing.torch_state import SETTINGS

VERBS = {
    "trace": (), "measure": ("--threads", "1", "--profile", "p.sqlite"), "validate": ("--threads", "1"),
    "bench": ("--threads", "1", "--runtime", "eager", "--iterations", "4", "--duration", "0.1"),
}  # fmt: skip
COMMAND = "import signal; signal.signal(2, signal.default_int_handler); from opclock.__main__ import main; main()"
LOADING = ("import", "factory", "constructor", "eval", "parameters")
LIMIT_S = 120.0
HANG_S = 3.0  # from one Ctrl-C to the next; a busy machine ends slowly
REACHED = "reached"  # the file that a model writes when it comes to its fault


def in_this_process(verb: str, statement: str, place: str, codes: set[int]) -> list[str]:
    """Run one command here. Returns what was wrong."""
    with _folder(statement, place) as folder:
        before = _state()
        code, _, errors = quiet([verb, "m.py:make", *VERBS[verb], "--json", "out.json"])
        after = _state()
        wrong = list(_faults(code, errors, codes, folder))
        kept = set(SETTINGS) if code == 0 and place in LOADING else set()  # the forward may need them
        wrong += [f"{name} is {after[name]!r}, was {before[name]!r}" for name in before
                  if before[name] != after[name] and name not in kept]  # fmt: skip
        _put_back(before)
    return wrong


def in_a_process(verb: str, statement: str, place: str, codes: set[int]) -> list[str]:
    """Run one command as a terminal does; a model that hangs gets Ctrl-C, twice where it refuses the first."""
    with _folder(f"open('{REACHED}', 'w').close()\n    {statement}", place) as folder:
        command = [sys.executable, "-c", COMMAND, verb, "m.py:make", *VERBS[verb], "--json", "out.json"]
        with (folder / "errors").open("w+b") as errors:
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder)
            code = _ended(child, folder / REACHED, hangs="wait_" in statement and "Thread" not in statement)
        return list(_faults(code, (folder / "errors").read_text(errors="replace"), codes, folder))


def _ended(child: subprocess.Popen[bytes], reached: Path, *, hangs: bool) -> int:
    until = time.monotonic() + LIMIT_S
    while child.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
        if hangs and reached.exists():
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(HANG_S)
    if child.poll() is None:
        child.kill()
        child.wait()
        return 1000  # it did not end
    return child.returncode


@contextlib.contextmanager
def _folder(statement: str, place: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.py").write_text(source(statement, place), encoding="utf-8")
        with contextlib.chdir(folder):
            yield folder


def _faults(code: int, errors: str, codes: set[int], folder: Path) -> Iterator[str]:
    if code not in codes:
        yield f"exit code {code}: {errors[-300:]!r}"
    if "Traceback" in errors:
        yield f"traceback: {errors[-300:]!r}"
    lines = [line for line in errors.splitlines() if line.startswith("opclock: ")]
    if code in (2, 130, 143) and (len(lines) != 1 or len(lines[0]) > 1000):
        yield f"{len(lines)} lines of complaint: {errors[-300:]!r}"
    for path in folder.iterdir():
        if path.name.endswith(".part") or path.name.startswith(".opclock"):
            yield f"{path.name} was left behind"
    written = folder / "out.json"
    if written.exists() != (code == 0):
        yield f"exit code {code}, and the JSON was {'written' if written.exists() else 'not written'}"
    if written.exists():
        json.loads(written.read_text(encoding="utf-8"))
    if (folder / "p.sqlite").exists():
        Profile.open(folder / "p.sqlite").close()


def _state() -> dict[str, object]:
    """What a command must leave as it was."""
    handlers = {str(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    return {
        **{name: read() for name, (read, _) in SETTINGS.items()}, **handlers, "folder": Path.cwd(),
        "argv": list(sys.argv), "stdout": sys.stdout, "stderr": sys.stderr, "closed": sys.stdout.closed,
        "warnings": list(warnings.filters), "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    }  # fmt: skip


def _put_back(before: dict[str, object]) -> None:
    for name, (_, put) in SETTINGS.items():
        put(before[name])
