"""The settings of dask for a farm: what must not disturb a measurement, and when a board counts as gone."""

from __future__ import annotations

import logging
from contextlib import suppress

import dask

HEARTBEAT_S = 10.0  # of a board; dask's own twice a second would run Python beside every measurement
GONE_S = 60  # without a heartbeat for so long, a board is gone, and its job waits for it or an equal one
LOST_BOARDS = 100  # a job that has lost its board more often is given up; its command runs in a process of its own
# What dask's worker would run in threads and timers of its own.
QUIET = {
    "distributed.worker.profile.enabled": False,  # a thread that looks at stacks 100 times a second
    "distributed.admin.system-monitor.gil.enabled": False,  # another thread
    "distributed.diagnostics.nvml": False,  # the GPU's state, by its driver
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # a large model would stop the board's only thread
    "distributed.worker.memory.terminate": False,
}


def quiet_logs() -> None:
    """Silence all of dask's loggers, of which some have levels of their own: the command line says what happens."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def for_a_board() -> None:
    """Set up dask in the process of a board."""
    dask.config.set(QUIET)
    quiet_logs()


def for_a_scheduler() -> None:
    """Set up dask in the process of the scheduler; the user's own settings of dask stay."""
    scheduler = {"worker-ttl": f"{GONE_S} s", "allowed-failures": LOST_BOARDS}
    dask.config.update_defaults({"distributed": {"scheduler": scheduler}})
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each board holds connections
    quiet_logs()
