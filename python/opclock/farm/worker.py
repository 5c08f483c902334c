"""The board's side: a dask worker with one slot, which sleeps while its command runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Worker, get_worker, rpc
from distributed.comm.addressing import get_address_host
from distributed.comm.core import connect

from opclock.errors import FarmError
from opclock.farm.address import Address
from opclock.farm.connecting import is_unknown, refusal_of, unanswered
from opclock.farm.examination import Examination
from opclock.farm.job import SLOT, Job, Outcome
from opclock.farm.running import Runner
from opclock.farm.settings import HEARTBEAT_S, for_a_board
from opclock.temporary import temporary_folder

REJOIN_S = 5.0  # after the way to the scheduler was lost
REACH_S = 10.0  # the scheduler must answer within
FETCH_S = 600.0  # a drained board waits so long for its last result to be fetched
TELL_S = 2.0  # a job waits so long for the scheduler to hear of its begin or end
PROGRESS = "opclock-progress"  # the topic of dask's events
PAGES = "127.0.0.1:0"  # dask's status pages stay on this machine
NEEDED = ("heartbeat", "keep-alive")  # of the timers of dask's worker; others wake it up to 50 times a second


@dataclass(frozen=True)
class Member:
    """What a board tells the farm when it joins."""

    name: str
    tags: tuple[str, ...]
    examination: Examination
    accepted: tuple[str, ...]
    store: Path

    @property
    def equals(self) -> str:
        """A resource that all boards of this identity have."""
        return equal_boards(self.examination.board["identity"])

    def to_json(self) -> dict[str, Any]:
        """What dask shows of it."""
        one = self.examination
        return {"name": self.name, "tags": list(self.tags), "board": one.board, "checks": list(one.checks),
                "versions": one.versions, "trouble": one.trouble, "accepted": list(self.accepted),
                "equals": self.equals}  # fmt: skip


def equal_boards(identity: str) -> str:
    """The resource of all boards with an identity."""
    return f"equals:{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


class BoardWorker(Worker):
    """A dask worker that runs one job at a time, and nothing beside it but a heartbeat every ten seconds.

    The scheduler hears of a job's begin and end by a heartbeat of its own.
    """

    def __init__(self, address: Address, member: Member, folder: Path, host: str) -> None:
        """Prepare.

        Args:
            address: the scheduler's.
            member: the board.
            folder: for what dask stores.
            host: this machine's address to listen at. Whoever reaches it can run programs here.
        """
        resources = {SLOT: 1.0, f"name:{member.name}": 1.0, member.equals: 1.0}
        super().__init__(
            address.url, nthreads=1, name=member.name, resources=resources, memory_limit=0, security=address.security,
            heartbeat_interval=HEARTBEAT_S, local_directory=str(folder), dashboard=False, dashboard_address=PAGES,
            host=host, startup_information={"opclock": lambda _worker: member.to_json()},
            metrics={"opclock": lambda _worker: self.tell()},
        )  # fmt: skip
        self.runner = Runner(member.name, member.store, member.accepted)
        self.runner.changed = self._tell_now
        self.drained = False
        self._telling = asyncio.Lock()  # an earlier heartbeat must not arrive after a later one

    async def start_unsafe(self) -> BoardWorker:
        """Start, and stop the timers that no job needs."""
        self._running_in = asyncio.get_running_loop()
        await super().start_unsafe()
        for name, callback in self.periodic_callbacks.items():
            if name not in NEEDED:
                callback.stop()
        self.monitor.update()  # once: heartbeats tell of it, and nobody reads that
        self._set_pace()
        return self

    async def heartbeat(self) -> None:
        """Tell the scheduler that the board is there. Its answer would have this repeated twice a second."""
        async with self._telling:
            await super().heartbeat()
            self._set_pace()

    def _tell_now(self) -> None:
        """Let the scheduler hear at once what this board does; called by the thread of the job."""
        told = asyncio.run_coroutine_threadsafe(self.heartbeat(), self._running_in)
        with contextlib.suppress(TimeoutError, RuntimeError):  # a later heartbeat tells it
            told.result(TELL_S)

    def _set_pace(self) -> None:
        self.periodic_callbacks["heartbeat"].callback_time = HEARTBEAT_S * 1000

    async def close(self, *arguments: Any, **options: Any) -> str | None:  # type: ignore[override]  # noqa: ANN401
        """End the running command first: dask would wait for it."""
        await asyncio.to_thread(self.runner.stop)
        return await super().close(*arguments, **options)

    def tell(self) -> dict[str, Any]:
        """What changes while the board is there. Goes with every heartbeat."""
        return {"now": time.time(), "job": self.runner.current, "drained": self.drained}


def run(job: Job) -> Outcome:
    """Run a job; this is what dask calls on the board."""
    worker = get_worker()
    assert isinstance(worker, BoardWorker)
    tasks, key = worker.state.tasks, job.id

    def cancelled() -> bool:
        task = tasks.get(key)
        return task is None or task.state in ("cancelled", "resumed", "released", "forgotten")

    worker.runner.progress = lambda text: worker.loop.add_callback(
        worker.log_event, PROGRESS, {"job": job.id, "text": text}
    )
    return worker.runner.run(job, cancelled=cancelled)


async def drain(dask_worker: BoardWorker) -> None:
    """Let a board end after its job, and take no other."""
    dask_worker.drained = True
    await dask_worker.set_resources(**{SLOT: 0})
    await dask_worker.heartbeat()
    asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(_end_when_idle(dask_worker)))


async def _end_when_idle(worker: BoardWorker) -> None:
    until = time.monotonic() + FETCH_S
    while worker.runner.current or (worker.data and time.monotonic() < until):
        await asyncio.sleep(1.0)
    await worker.close(reason="drained")


async def belong(address: Address, member: Member, say: Callable[[str], None]) -> None:
    """Be a board of a farm until it is drained. Where the way to the scheduler is lost, join again.

    Args:
        address: the scheduler's.
        member: this board.
        say: receives a sentence whenever something changes.

    Raises:
        FarmError: the farm has another board of this name, or another certificate, or does not encrypt; or no machine
            has the scheduler's name.
    """
    for_a_board()
    joined, said, known = False, "", ""
    say(f"joining {address.url} as {member.name}")
    while True:
        host = await _reached(address, say, joined=joined)
        with temporary_folder() as folder:
            worker = BoardWorker(address, member, folder, host)
            try:
                async with worker:
                    joined, said, known = True, "", ""
                    say(f"joined {address.url}")
                    await worker.finished()
                reason = ""
            except (OSError, RuntimeError, ValueError) as error:
                reason = _whole(error)
        if worker.drained:
            return
        taken = "name taken" in reason
        if taken:
            known = await _still_dead(address, member.name, known)
        news = _taken(address, member.name) if taken else f"{'lost' if joined else 'cannot join'} {address.url}"
        if news != said:
            say(f"{news}; trying again")
        said = news
        await asyncio.sleep(REJOIN_S)


def _taken(address: Address, name: str) -> str:
    return f"{address.url} lists a board {name} that may be gone"


async def _still_dead(address: Address, name: str, known: str) -> str:
    """When the farm last heard of its board of this name: one that has crashed is listed for a while.

    Args:
        address: the scheduler's.
        name: the board's.
        known: what this said before; "" at first.

    Raises:
        FarmError: the farm has heard of it since.
    """
    try:
        async with rpc(address.url, connection_args=address.security.get_connection_args("worker")) as scheduler:
            workers = (await scheduler.identity())["workers"]
    except OSError:
        return known
    heard = "".join(f"{place} {one['last_seen']}" for place, one in workers.items() if one["name"] == name)
    if known and heard and heard != known:
        raise FarmError(f"the name {name} is taken at {address.url}: give another --name")
    return heard


def _whole(error: BaseException | None) -> str:
    return "" if error is None else f"{error} {_whole(error.__cause__)}"


async def _reached(address: Address, say: Callable[[str], None], *, joined: bool) -> str:
    """Wait until the scheduler answers: dask's worker would wait without a word, with a wrong certificate for ever.

    Returns:
        This machine's address that the scheduler sees: the loopback's where it is on this machine.

    Raises:
        FarmError: the certificate is another one than the scheduler's, the scheduler does not encrypt, or, before the
            board has joined, no machine has this name.
    """
    arguments = address.security.get_connection_args("worker")
    said: set[str] = set()  # a scheduler that is away for a day is refused and silent in turn
    while True:
        try:
            comm = await connect(address.url, timeout=REACH_S, **arguments)
        except (OSError, ValueError) as error:  # the second of tornado, where the other side does not encrypt
            if refusal := refusal_of(address, error):
                raise FarmError(f"cannot join {address.url}: {refusal}") from error
            if not joined and is_unknown(error):
                raise FarmError(f"cannot join {address.url}: no machine of this name is known here") from error
            reason = f"{address.url} does not answer ({unanswered(address, error)}); trying again"
            if reason not in said:
                say(reason)
            said.add(reason)
            await asyncio.sleep(REJOIN_S)
        else:
            host = get_address_host(comm.local_address)
            await comm.close()
            return f"[{host}]" if ":" in host else host
