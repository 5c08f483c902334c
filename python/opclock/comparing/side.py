"""The parent's view of one side: its interpreter, its older profile and its child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from opclock.children.process import ChildProcess, RuntimeFailedError
from opclock.comparing.server import PROTOCOL
from opclock.errors import ComparisonError
from opclock.profiles.machine import same_machine
from opclock.profiles.profile import Profile
from opclock.profiles.schema import SCHEMA_VERSION
from opclock.version import VERSION

START_S = 300.0  # importing torch from a slow SD card takes a minute
ANSWER_S = 3600.0  # for a block of very large kernels; a child that needs longer hangs


class Side(ChildProcess):
    """The child process that measures one side again."""

    doing: ClassVar[Mapping[str, str]] = {
        "hello": "starting", "open": "creating its profile", "plan": "rebuilding the op calls",
        "group": "grouping the op calls", "attempt": "trying the op calls", "bind": "preparing the op calls",
        "block": "timing the op calls", "end": "storing the last of its rounds", "close": "closing its profile",
    }  # fmt: skip

    def __init__(self, name: str, python: str, folder: Path) -> None:
        """Start the child.

        Args:
            name: "first" or "second".
            python: the interpreter of the side's environment.
            folder: for its new profile.

        Raises:
            ComparisonError: the interpreter cannot be started, or its opclock cannot do this.
        """
        self.name, self.python = name, python
        self.profile = folder / f"{name}.sqlite"
        # -P: a folder that happens to be the working directory must not stand in for the environment's opclock.
        command = [python, "-P", "-m", "opclock.comparing.server"]
        try:
            super().__init__(command, folder / f"{name}.txt", {})
        except RuntimeFailedError as error:
            raise ComparisonError(f"{self.option} {python}: {error}") from error

    @property
    def option(self) -> str:
        """The option that names its interpreter."""
        return f"--{self.name}-python"

    @property
    def output(self) -> str:
        """The last line of its output, whose file is temporary."""
        return self.last_words

    def check(self) -> None:
        """See that an opclock is there which can do this. Raises ComparisonError where not."""
        try:
            answer = self.ask("hello", START_S)
        except RuntimeFailedError as error:
            raise ComparisonError(f"{self.option} {self.python}: {self._missing() or error}") from error
        if answer.get("protocol") != PROTOCOL or answer["schema"] > SCHEMA_VERSION:
            raise ComparisonError(
                f"{self.option} {self.python} has opclock {answer['opclock']}, this is {VERSION}, and the two cannot "
                "measure in turn: upgrade the older one"
            )

    def _missing(self) -> str:
        """Which module the child did not find, and what to do; "" where it ended for another reason."""
        output = self.output
        if "No module named opclock.comparing" in output or "No module named 'opclock.comparing" in output:
            return "its opclock is too old to measure again: upgrade it"
        if "No module named" in output and "opclock" in output:
            return "opclock is missing there: install it in that environment"
        return ""

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
                f"name the interpreter of its environment with {self.option}"
            )
        return now

    def request(self, name: str, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request and wait for its answer. Raises ComparisonError, which names the side."""
        try:
            return self.ask(name, ANSWER_S, **details)
        except RuntimeFailedError as error:
            if error.refusal is not None:
                raise ComparisonError(f"the {self.name} side: {error.refusal}") from error.refusal
            raise ComparisonError(f"the {self.name} side ({self.python}): {error}") from error


def _any_cores(board: Mapping[str, Any]) -> dict[str, Any]:
    return {**board, "allowed": ()}
