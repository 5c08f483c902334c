"""The parent's view of one side: its interpreter, its older profile and its child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from opclock.children.interpreters import fault_of
from opclock.children.named_process import NamedProcess
from opclock.children.process import RuntimeFailedError
from opclock.comparing.server import PROTOCOL
from opclock.errors import ComparisonError, OpclockError
from opclock.profiles.machine import same_machine
from opclock.profiles.profile import Profile
from opclock.profiles.schema import SCHEMA_VERSION
from opclock.version import VERSION

START_S = 300.0  # importing torch from a slow SD card takes a minute


class Side(NamedProcess):
    """The child process that measures one side again."""

    doing: ClassVar[Mapping[str, str]] = {
        "hello": "starting", "open": "creating its profile", "plan": "rebuilding the op calls",
        "group": "grouping the op calls", "attempt": "trying the op calls", "bind": "preparing the op calls",
        "block": "timing the op calls", "end": "storing the last of its rounds", "close": "closing its profile",
    }  # fmt: skip

    failure: ClassVar[type[OpclockError]] = ComparisonError

    def __init__(self, side: str, python: str, folder: Path) -> None:
        """Start the child.

        Args:
            side: "first" or "second".
            python: the interpreter of the side's environment.
            folder: for its new profile.

        Raises:
            ComparisonError: it cannot be started.
        """
        self.side, self.python = side, python
        self.profile = folder / f"{side}.sqlite"
        # -P: a folder that happens to be the working directory must not stand in for the environment's opclock.
        command = [python, "-P", "-m", "opclock.comparing.server"]
        super().__init__(f"the {side} side ({python})", command, folder / f"{side}.txt")

    def check(self) -> None:
        """See that its opclock can do this. Raises ComparisonError where not."""
        option = f"{option_of(self.side)} {self.python}"
        try:
            answer = self.ask("hello", START_S)
        except RuntimeFailedError as error:
            old = "No module named" in self.output and "opclock.comparing" in self.output
            said = "its opclock is too old to measure again: upgrade it" if old else str(error)
            raise ComparisonError(f"{option}: {said}") from error
        if answer.get("protocol") != PROTOCOL or answer["schema"] > SCHEMA_VERSION:
            raise ComparisonError(
                f"{option} has opclock {answer['opclock']}, this is {VERSION}, and the two cannot measure in turn: "
                "upgrade the older one"
            )

    def open(self, older: Profile, blocks: int, *, seed: int) -> dict[str, Any]:
        """Let the child make its new profile, on the cores of the older one. Returns the board's description.

        Args:
            older: the profile that is measured again.
            blocks: how many blocks of rounds each op call gets.
            seed: for every random order.

        Raises:
            ComparisonError: the older profile is of another machine or another torch.
        """
        before = older.board()
        cores = before.get("allowed") or []
        request = {"profile": str(self.profile), "cores": cores, "blocks": blocks, "seed": seed}
        now: dict[str, Any] = self.request("open", **request)["board"]
        if not same_machine(_any_cores(before), _any_cores(now)):
            raise ComparisonError(
                f"{older.path} is of another machine ({before['identity']}); this one is {now['identity']}: measure "
                "again there, or compare without --fresh"
            )
        if before.get("torch") != now["torch"]:
            raise ComparisonError(
                f"{older.path} was measured with torch {before.get('torch')}, {self.python} has torch {now['torch']}: "
                f"name the interpreter of its environment with {option_of(self.side)}"
            )
        return now


def check_interpreter(side: str, python: str) -> None:
    """Raise ComparisonError where a side's interpreter is none, or lacks opclock."""
    if fault := fault_of(python, ("opclock", "torch")):
        raise ComparisonError(f"{option_of(side)} {python}: {fault}")


def option_of(side: str) -> str:
    """The option that names a side's interpreter."""
    return f"--{side}-python"


def _any_cores(board: Mapping[str, Any]) -> dict[str, Any]:
    return {**board, "allowed": ()}
