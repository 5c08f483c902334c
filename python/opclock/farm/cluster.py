"""Work that no board is needed for, on the workers of a dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from distributed import Client, Future, WorkerPlugin, as_completed, get_worker
from distributed import Worker as DaskWorker

from opclock.errors import FarmError, OpclockError
from opclock.farm.address import Address
from opclock.farm.archive import packed, unpack
from opclock.farm.connecting import connect, reason_of
from opclock.farm.job import SLOT
from opclock.temporary import temporary_folder
from opclock.version import VERSION

POLL_S = 0.05  # from one look at the tasks to the next
LOOK_S = 5.0  # from one look at the workers to the next
WORKERLESS_S = 300.0  # so long the tasks wait where there is no worker
START_WORKERS = "start some there: dask worker ADDRESS --nworkers 4 --nthreads 1"
NO_CLUSTER = "start one there ('dask scheduler'), or name another by --cluster"

Item = TypeVar("Item")
Answer = TypeVar("Answer")
# What a worker keeps ready: from the folder with the files and the number of tasks at a time to what does one item.
Prepared = Callable[[Path, int], AbstractContextManager[Callable[[Item], Answer]]]


class _Ready(WorkerPlugin):
    """Keeps ready on every worker, also on those that come later, what the tasks need."""

    def __init__(self, prepared: Prepared[Any, Any], archive: bytes) -> None:
        self.name = f"opclock-{uuid.uuid4().hex}"
        self._prepared, self._archive, self._version = prepared, archive, VERSION
        self._refusal = ""

    def setup(self, worker: DaskWorker) -> None:
        """Unpack the files. A worker that cannot take part says so at its first task, and stays what it is."""
        self._stack = ExitStack()
        if SLOT in worker.state.total_resources:
            self._refusal = f"the board {worker.name} has joined the cluster: nothing may run beside its measurements"
        elif self._version != VERSION:
            self._refusal = f"{worker.address} has opclock {VERSION}, this machine {self._version}: install the same"
        else:
            folder = self._stack.enter_context(temporary_folder())
            unpack(self._archive, folder)
            self._do = self._stack.enter_context(self._prepared(folder, worker.state.nthreads))

    async def teardown(self, worker: DaskWorker) -> None:
        """End what was kept ready."""
        await asyncio.to_thread(self._stack.close)

    def do(self, item: Any) -> Any:  # noqa: ANN401
        """Do one item. Raises FarmError where this worker cannot take part."""
        if self._refusal:
            raise FarmError(self._refusal)
        return self._do(item)


def _do(name: str, item: Any) -> Any:  # noqa: ANN401
    """What dask calls on a worker."""
    return cast("_Ready", get_worker().plugins[name]).do(item)


class Cluster:
    """A connection to a cluster. Use it in a ``with`` block."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            FarmError: no scheduler answers, or it has no workers, or its workers are boards.
        """
        self._address = address
        self._client: Client = connect(address, NO_CLUSTER)
        try:
            workers = self._workers()
            if not workers:
                raise FarmError(f"the scheduler at {address.url} has no workers: {START_WORKERS}")
            if boards := [str(one["name"]) for one in workers.values() if "opclock" in one]:
                raise FarmError(f"the scheduler at {address.url} has boards ({', '.join(boards)}), which must do "
                                "nothing beside measurements: name that of a cluster ('dask scheduler')")  # fmt: skip
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=2.0)

    def _workers(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self._client.scheduler_info(n_workers=-1)["workers"])

    def work(
        self, prepared: Prepared[Item, Answer], files: Mapping[str, Path], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Answer | None, str]]:
        """Do all items on the workers. A worker that ends takes nothing along: another one does its items.

        Args:
            prepared: what every worker keeps ready; the workers must be able to import it.
            files: that travel to each worker, by their names there.
            items: what is to be done.

        Yields:
            Each item with its answer, or with None and the reason, as they come.

        Raises:
            FarmError: the scheduler or all workers have gone, or a worker cannot take part.
        """
        ready = _Ready(prepared, packed(files))
        try:
            self._client.register_plugin(ready)
        except Exception as error:  # whatever a worker's Python lacks
            self._forget(ready)
            raise FarmError(f"a worker of {self._address.url} cannot take part: {reason_of(error)}") from error
        futures = self._client.map(_do, [ready.name] * len(items), list(items), pure=False, retries=0,
                                   key=[f"{ready.name}-{number}" for number in range(len(items))])  # fmt: skip
        open_items = {future.key: item for future, item in zip(futures, items, strict=True)}
        try:
            for future in self._finished(futures):
                yield (open_items.pop(future.key), *self._answer(future))
        finally:
            with contextlib.suppress(Exception):
                self._client.cancel(futures)
            self._forget(ready)

    def _finished(self, futures: Sequence[Future[Any]]) -> Iterator[Future[Any]]:
        """Each task once it has ended."""
        completed, left = as_completed(futures, loop=self._client.loop), len(futures)
        looked = there = time.monotonic()
        while left:
            batch = completed.next_batch(block=False)
            left -= len(batch)
            yield from batch
            if batch:
                continue
            if self._client.status != "running":
                raise FarmError(f"the scheduler at {self._address.url} does not answer any more")
            if (now := time.monotonic()) - looked > LOOK_S:
                looked, there = now, now if self._workers() else there
                if now - there > WORKERLESS_S:
                    raise FarmError(f"{self._address.url} has had no worker for {WORKERLESS_S:.0f} s: {START_WORKERS}")
            time.sleep(POLL_S)

    def _answer(self, future: Future[Any]) -> tuple[Any, str]:
        if future.status == "finished":
            return self._client.gather(future), ""
        if future.status != "error":
            raise FarmError(f"the scheduler at {self._address.url} has lost the tasks: is it there?")
        error = future.exception()
        if isinstance(error, OpclockError):
            raise FarmError(f"on a worker of {self._address.url}: {error}") from error
        return None, f"on the cluster: {reason_of(error)}"

    def _forget(self, ready: _Ready) -> None:
        with contextlib.suppress(Exception):
            self._client.unregister_worker_plugin(ready.name)
