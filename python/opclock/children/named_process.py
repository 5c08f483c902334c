"""A child process that has a name in the errors about it, and whose output is temporary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from opclock.children.process import ChildProcess, RuntimeFailedError, check_memory
from opclock.errors import OpclockError


class NamedProcess(ChildProcess):
    """A child whose errors are of one kind and begin with its name.

    Attributes:
        failure: the kind of error that is raised where it does not start, or a request fails.
        answer_s: seconds after which a request fails; a child that needs longer hangs.
        name: for messages: "process 2 of 3".
    """

    failure: ClassVar[type[OpclockError]] = OpclockError
    answer_s: ClassVar[float] = 3600.0

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Start it.

        Args:
            name: see above.
            command: see ``ChildProcess``.
            log: receives what it prints.

        Raises:
            OpclockError: it cannot be started, or memory is short.
        """
        self.name = name
        try:
            check_memory()
            super().__init__(command, log, {})
        except RuntimeFailedError as error:
            raise self.failed(error) from error

    @property
    def output(self) -> str:
        """The last line of its output, whose file is temporary."""
        return self.last_words

    def request(self, name: str, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request and wait for its answer. Raises what ``failed`` makes of a failure."""
        try:
            return self.ask(name, self.answer_s, **details)
        except RuntimeFailedError as error:
            raise self.failed(error) from error

    def failed(self, error: RuntimeFailedError) -> OpclockError:
        """The error for a failure, which names the process."""
        return self.failure(f"{self.name}: {error.refusal or error}")
