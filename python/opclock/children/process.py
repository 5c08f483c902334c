"""The parent's side of a child process: sends requests with a timeout, and reports how the child ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self, TypeVar

import psutil

from opclock import errors
from opclock.board.memory import free_memory_bytes
from opclock.board.system import all_cores
from opclock.errors import ModelError, OpclockError

# PyTorch alone takes 250 MB once imported; without the rest for a runtime and a small model the kernel would end a
# process, perhaps one that is being timed.
MIN_FREE_BYTES = 400_000_000

END_S = 10.0  # a child whose output has ended ends itself within this
MAX_LAST_WORDS = 200  # characters of the last line that a child printed, which may be any long

Item = TypeVar("Item")


class RuntimeFailedError(OpclockError):
    """What a child was asked for failed: it raised, crashed, hung or gave wrong answers.

    Attributes:
        refusal: the error that opclock itself raised in the child, such as an OptionError; None for any other failure.
    """

    def __init__(self, reason: str, refusal: OpclockError | None = None) -> None:
        super().__init__(" ".join(reason.split()))
        self.refusal = refusal


class _Running:
    """The children of this process. None is missed when all must end, however shortly before it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[ChildProcess] = set()
        self._ending = False

    @contextlib.contextmanager
    def starting(self, child: ChildProcess) -> Iterator[None]:
        """Start the child's process inside the block. Raises RuntimeFailedError while all must end."""
        with self._lock:
            if self._ending:
                raise RuntimeFailedError("interrupted before its process started")
            yield
            self._children.add(child)

    def forget(self, child: ChildProcess) -> None:
        """The child is closed."""
        with self._lock:
            self._children.discard(child)

    @contextlib.contextmanager
    def end_all(self) -> Iterator[None]:
        """Kill all children. Inside the block none starts."""
        with self._lock:
            self._ending = True
            children = list(self._children)
        for child in children:
            child.kill()
        try:
            yield
        finally:
            self._ending = False


_running = _Running()


class ChildProcess:
    """One child process that serves requests. Use it in a ``with`` block, at whose end the child is killed.

    Attributes:
        doing: by the name of a request, what the child then does, for messages: "loading the model".
    """

    doing: ClassVar[Mapping[str, str]] = {}

    def __init__(self, command: Sequence[str], log: Path, variables: Mapping[str, str]) -> None:
        """Start it.

        Args:
            command: the program and its arguments; the number of the lifeline's descriptor is put behind them.
            log: receives its standard error.
            variables: of its environment, beside those of this process.

        Raises:
            RuntimeFailedError: it cannot start, or all children must end.
        """
        self._log = log
        self._unread = b""
        try:
            with log.open("ab") as output, all_cores(), _running.starting(self):
                self._child, self._lifeline = _started(command, output, variables)
        except OSError as error:
            raise RuntimeFailedError(f"its process cannot start: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child at once."""
        _running.forget(self)
        self.kill()
        self._child.wait()
        self._lifeline.close()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # it ended before it read a request
                    pipe.close()

    def kill(self) -> None:
        """Let the child die, and whatever a runtime has started from it; `close` is still to come."""
        started = _descendants(self._child.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        for process in started:  # some leave the process group, and outlive it
            with contextlib.suppress(psutil.Error):
                process.kill()

    def ask(self, name: str, timeout_s: float, /, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request and wait for its answer.

        Args:
            name: the name of a request that the child handles.
            timeout_s: wall seconds after which the child is killed.
            details: the request's arguments, JSON-ready.

        Returns:
            The answer.

        Raises:
            RuntimeFailedError: the child raised, died, or was killed.
        """
        request = {"do": name, **details}
        assert self._child.stdin is not None
        place = f"while {self.doing.get(name, name)}"
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            line = self._line(place, timeout_s)
        except BrokenPipeError:
            raise RuntimeFailedError(f"{place}: {self._end()}") from None
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise RuntimeFailedError(f"{place}: the process answered with something else; {self.output}") from None
        if "refusal" in answer:
            kind: type[OpclockError] = getattr(errors, answer["refusal"], ModelError)
            raise RuntimeFailedError(f"{place}: {answer['error']}", kind(answer["error"]))
        if "error" in answer:
            raise RuntimeFailedError(f"{place}: {answer['error']}")
        return answer

    def _line(self, place: str, timeout_s: float) -> bytes:
        assert self._child.stdout is not None
        until = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([self._child.stdout], [], [], left_s)[0]:
                self.kill()
                raise RuntimeFailedError(f"{place}: no answer within {timeout_s:.0f} s")
            read = os.read(self._child.stdout.fileno(), 1 << 16)
            if not read:
                raise RuntimeFailedError(f"{place}: {self._end()}")
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    @property
    def output(self) -> str:
        """Where its standard error is, for an error's message."""
        return f"its output is in {self._log}"

    @property
    def last_words(self) -> str:
        """The last line of its standard error, for an error's message where the file does not stay."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if len(last) > MAX_LAST_WORDS:
            last = f"...{last[-MAX_LAST_WORDS:]}"
        return f"it printed: {last}" if last else "it printed nothing"

    def _end(self) -> str:
        """How the child ended."""
        try:
            code = self._child.wait(END_S)
        except subprocess.TimeoutExpired:  # it closed its output, but goes on
            self.kill()
            return f"the process stopped answering; {self.output}"
        if code >= 0:
            return f"the process ended with {code}; {self.output}"
        signal_name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", perhaps because memory was short" if signal_name == "SIGKILL" else ""
        return f"killed by {signal_name}{hint}; {self.output}"


def _started(
    command: Sequence[str], log: IO[bytes], variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start the child. With our end of the pipe that ends the child when it is closed, at the latest with us."""
    theirs, end = os.pipe()
    ours = os.fdopen(end, "wb")
    try:
        child = subprocess.Popen(
            [*command, str(theirs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, pass_fds=(theirs,),
            env={**os.environ, **variables},
            start_new_session=True,  # a separate process group, which can be killed as one
        )  # fmt: skip
    except BaseException:
        ours.close()  # ends a child that has started already
        raise
    finally:
        os.close(theirs)
    return child, ours


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return found


def check_memory() -> None:
    """Raise RuntimeFailedError where too little memory is free for one more process."""
    free = free_memory_bytes()
    if free < MIN_FREE_BYTES:
        raise RuntimeFailedError(f"too little memory for one more process: {free / 1e6:.0f} MB are free")


def run_at_once(step: Callable[[Item], object], items: Iterable[Item], count: int) -> None:
    """Call a step with each item, ``count`` at the same time. An interruption kills all children."""
    with ThreadPoolExecutor(count) as pool:
        try:
            futures = [pool.submit(step, item) for item in items]
            for future in futures:
                future.result()
        except BaseException:
            with _running.end_all():
                pool.shutdown(cancel_futures=True)  # whoever waits for a child gets RuntimeFailedError at once
            raise
