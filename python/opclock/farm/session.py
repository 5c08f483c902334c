"""This machine's side of a farm: which boards there are, and jobs that are given, waited for and given again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, cast

from distributed import Client, Future, KilledWorker

from opclock.errors import FarmError
from opclock.farm import worker
from opclock.farm.address import VARIABLE, Address
from opclock.farm.board import FarmBoard
from opclock.farm.connecting import connect, reason_of, unanswered
from opclock.farm.job import SLOT, TAKEN_UP_S, Job, Outcome, given_at_s
from opclock.formatting import counted

POLL_S = 0.2  # from one look at the jobs to the next
BOARDS_S = 5.0  # from one look at the boards to the next
PATIENCE_S = 300.0  # a job waits so long for a board that has gone, and for a scheduler
NO_FARM = f"start one there ('opclock farm start'), or name another by ${VARIABLE}"
CANCELLED = "opclock-cancelled"  # dask's metadata: by id, the jobs that nobody shall give again
DONE, OVER = "finished", ("error", "cancelled", "lost")

Said = Callable[[Job, str], None]
News = Callable[[str], None]


@dataclass
class _Given:
    """A job on its way."""

    job: Job
    future: Future[Outcome]
    unseen_since: float | None = None  # when the last board that could run it was seen no more


class Farm:
    """A connection to a farm's scheduler. Use it in a ``with`` block."""

    def __init__(self, address: Address, patience_s: float = PATIENCE_S) -> None:
        """Connect. Raises FarmError where no scheduler answers, or it refuses this machine."""
        self._address, self._patience_s = address, patience_s
        self._said: Said = lambda _job, _text: None
        self._news: News = lambda _text: None
        self._jobs: dict[str, Job] = {}
        self._client = self._connected()

    def _connected(self) -> Client:
        client = connect(self._address, NO_FARM)
        client.subscribe_topic(worker.PROGRESS, self._hear)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=2.0)

    def _hear(self, event: tuple[float, dict[str, str]]) -> None:
        if (job := self._jobs.get(event[1]["job"])) is not None:
            self._said(job, event[1]["text"])

    def boards(self) -> list[FarmBoard]:
        """The boards that have joined, by name. Raises FarmError where the scheduler does not answer."""
        try:
            workers = cast("dict[str, Any]", self._client.scheduler_info(n_workers=-1))["workers"]
            waiting = cast("dict[str, tuple[str, ...]]", self._client.processing())
        except (OSError, TimeoutError, RuntimeError, AttributeError) as error:
            raise FarmError(f"{self._address.url} does not answer: {unanswered(self._address, error)}") from error
        found = []
        for address, one in workers.items():
            board = FarmBoard.of(address, one, len(waiting.get(address, ())))
            if board is not None:
                queue = board.queue - bool(board.job)
                found.append(FarmBoard(**{**vars(board), "queue": max(0, queue)}))
        return sorted(found, key=lambda board: board.name)

    def drain(self, name: str) -> None:
        """Let a board end after its job, and take no other. Raises FarmError where there is none of this name."""
        self._client.run(worker.drain, workers=[self._board(name).address], wait=True)

    def cancel(self, name: str) -> str:
        """End the job that a board runs, whoever gave it; who waits for it gives it no more.

        Returns its id; "" where the board runs none. Raises FarmError where there is no board of this name.
        """
        key = self._board(name).job
        if key:
            self._client.set_metadata([CANCELLED, key], value=True)
            with contextlib.suppress(KeyError):
                self._client.unpublish_dataset(key.rpartition("-")[0])
            self._client.cancel([Future(key, self._client)], force=True)
        return key

    def _board(self, name: str) -> FarmBoard:
        boards = {board.name: board for board in self.boards()}
        if name not in boards:
            there = f"there are: {', '.join(boards)}" if boards else "the farm has none"
            raise FarmError(f"no board {name!r}; {there}")
        return boards[name]

    def run(
        self, jobs: Sequence[Job], said: Said | None = None, news: News | None = None
    ) -> Generator[tuple[Job, Outcome], None, None]:
        """Give jobs to the boards and wait for them. A fault on the way gives a job again; its board goes on with it.

        A job whose result nobody has fetched is taken up, not run again. After an interruption all are cancelled; equal
        ones go on in the folders that these leave on their boards.

        Args:
            jobs: of which no two are equal.
            said: receives a job and what its command last said, in another thread.
            news: receives a sentence when a board or the scheduler is gone, and when it is back.

        Yields:
            Each job with what came of it, as it comes.
        """
        self._said, self._news = said or self._said, news or self._news
        open_jobs = {given.job.id: given for given in map(self._give, jobs)}
        self._jobs = {key: given.job for key, given in open_jobs.items()}
        looked = time.monotonic()
        try:
            while open_jobs:
                for key, given in list(open_jobs.items()):
                    outcome = self._answer(given)
                    if outcome is not None:
                        del open_jobs[key]
                        over = given.future.status in (DONE, *OVER)
                        yield given.job, outcome
                        if over:  # only now: who ends before it is stored takes it up again
                            self._forget(given)
                if time.monotonic() - looked > BOARDS_S:
                    looked = time.monotonic()
                    self._look_for_boards(open_jobs.values())
                time.sleep(POLL_S if open_jobs else 0.0)
        except KeyboardInterrupt as interruption:
            interruption.add_note(_interrupted(len(open_jobs), len(jobs)))
            raise
        finally:
            for given in open_jobs.values():
                with contextlib.suppress(Exception):
                    self._client.cancel([given.future])
                    self._forget(given)

    def _give(self, job: Job) -> _Given:
        """Give a job, or take up an equal one that was given before and not fetched."""
        earlier = self._client.get_dataset(_published(job), default=None)
        if isinstance(earlier, Future) and earlier.status not in OVER:
            key = str(earlier.key)
            if time.time() - given_at_s(key) < TAKEN_UP_S:
                return _Given(replace(job, id=key), earlier)
        return self._again(job if job.id else job.with_id(time.time()))

    def _again(self, job: Job) -> _Given:
        resources = {SLOT: 1, job.where: 1}
        future = self._client.submit(worker.run, job, key=job.id, resources=resources, pure=False)
        self._client.publish_dataset(future, name=_published(job), override=True)
        return _Given(job, future)

    def _forget(self, given: _Given) -> None:
        with contextlib.suppress(Exception):
            self._client.unpublish_dataset(_published(given.job))
        given.future.release()

    def _answer(self, given: _Given) -> Outcome | None:
        """What came of a job; None where it is still open. A job that was lost on the way is given again."""
        if given.future.status == DONE:
            with contextlib.suppress(OSError, TimeoutError, RuntimeError, KeyError):
                return cast("Outcome", self._client.gather(given.future, errors="raise"))
        if given.future.status not in OVER:
            return self._lost(given)
        if given.future.status == "error":
            error = given.future.exception()
            if isinstance(error, KilledWorker):
                return Outcome("", "lost", "the board's worker died again and again while it ran: look at what "
                               "'opclock farm join' says there")  # fmt: skip
            return Outcome("", "lost", f"it ended the board's worker or could not be started there: {reason_of(error)}")
        reason = self._reconnected()
        if reason is None and self._client.get_metadata([CANCELLED, given.job.id], default=False):
            reason = "it was cancelled by 'opclock farm cancel'"
        if reason is not None:
            return Outcome("", "lost", reason)
        fresh = self._again(given.job)
        given.future = fresh.future
        return None

    def _reconnected(self) -> str | None:
        """Wait until the scheduler answers again. Returns why it does not."""
        until = time.monotonic() + self._patience_s
        gone = self._client.status != "running"
        if gone:
            self._news(f"the scheduler at {self._address.url} does not answer, the jobs wait for it")
        while self._client.status != "running":
            if time.monotonic() > until:
                return f"the scheduler at {self._address.url} has not answered for {self._patience_s:.0f} s"
            if self._client.status in ("closed", "closing"):
                with contextlib.suppress(FarmError):
                    self._client = self._connected()
            time.sleep(POLL_S)
        if gone:
            self._news(f"the scheduler at {self._address.url} is back")
        return None

    def _look_for_boards(self, given: Any) -> None:  # noqa: ANN401 - a view of a dict's values
        """Note for which jobs no board is there."""
        try:
            there = self.boards()
        except FarmError:
            return
        offered = {f"name:{board.name}" for board in there} | {board.equals for board in there}
        news: dict[str, str] = {}
        for one in given:
            name = one.job.where.removeprefix("name:")
            if one.job.where in offered:
                if one.unseen_since is not None:
                    news[name] = f"{name} is back"
                one.unseen_since = None
            elif one.unseen_since is None:
                one.unseen_since = time.monotonic()
                news[name] = f"{name} is gone, its job waits for it"
        for text in news.values():
            self._news(text)

    def _lost(self, given: _Given) -> Outcome | None:
        """An outcome where no board that could run the job has been there for long."""
        if given.unseen_since is None or time.monotonic() - given.unseen_since < self._patience_s:
            return None
        return Outcome("", "lost", f"no board for it has been seen for {self._patience_s:.0f} s; what it stored stays "
                       "there: once it has joined again, the same command goes on")  # fmt: skip


def _interrupted(cancelled: int, jobs: int) -> str:
    """What an interruption has left."""
    kept = "; what has come back is kept" if cancelled < jobs else ""
    return (f"{counted(cancelled, 'job')} cancelled: for a day, the same command goes on with what the boards have "
            f"stored{kept}")  # fmt: skip


def _published(job: Job) -> str:
    """The name under which the scheduler keeps a job while this machine is gone."""
    return f"opclock-{job.digest}"
