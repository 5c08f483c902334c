"""What a board says of itself when it joins: identity, versions and the doctor's findings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from opclock.errors import FarmError
from opclock.temporary import temporary_folder

LIMIT_S = 600.0  # importing torch from a slow SD card takes a minute


@dataclass(frozen=True)
class Examination:
    """One board at one time."""

    board: dict[str, Any]  # as ``Board.to_json`` gives it
    checks: tuple[dict[str, str], ...]  # of the doctor: name, status, finding, remedy
    versions: dict[str, str]

    @property
    def trouble(self) -> str:
        """What must be repaired before anything can be measured; "" where nothing must."""
        return "; ".join(
            f"{check['name']}: {check['finding']}" for check in self.checks if check["status"] == "trouble"
        )


def examine() -> Examination:
    """Examine this board in a process that ends: torch does not stay in the memory of the worker's.

    Raises:
        FarmError: the process fails.
    """
    with temporary_folder() as folder:
        answer = folder / "doctor.json"
        command = [sys.executable, "-P", "-m", "opclock", "doctor", "--json", str(answer)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                                  errors="replace", timeout=LIMIT_S, check=False)  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FarmError(f"'opclock doctor' takes over {LIMIT_S:.0f} s on this board: run it by itself") from None
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise FarmError(f"'opclock doctor' fails on this board: {last}")
        return examination_of(json.loads(answer.read_text(encoding="utf-8")))


def examination_of(answer: dict[str, Any]) -> Examination:
    """What ``opclock doctor --json`` says. Raises FarmError where the board cannot time anything."""
    examined = Examination(answer.get("board") or {}, tuple(answer["checks"]), installed())
    if not examined.board:
        raise FarmError(f"this machine cannot measure: {examined.trouble}")
    return examined


def installed() -> dict[str, str]:
    """The versions on disk that decide what a measurement means. Nothing is imported."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("opclock", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def cache_folder(name: str, root: Path) -> Path:
    """Where a board keeps the folders of its jobs, so that one goes on after a restart."""
    return root / "opclock" / "farm" / name
