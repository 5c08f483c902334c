"""Functions that only some operating systems support. Elsewhere they return the nearest answer or raise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opclock.errors import OptionError

# With any of these, OpenMP binds the thread that loads it, which is the one that imports torch, to a few cores.
BINDING_VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
UNBOUND = ("", "false", "none", "disabled")
OPENMP_LIBRARIES = ("libgomp", "libiomp", "libomp")

_refused: dict[str, str] = {}  # what `drop_refused` has removed from the environment


def drop_refused() -> None:
    """Remove OMP_NUM_THREADS from the environment where OpenMP would refuse it: it complains whenever torch is loaded.

    It is ignored either way. Only the command line does this, before torch is imported; ``opclock doctor`` says it.
    """
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text.strip() and not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        _refused["OMP_NUM_THREADS"] = os.environ.pop("OMP_NUM_THREADS")


def given_environment() -> dict[str, str]:
    """The environment as it was before `drop_refused`."""
    return {**os.environ, **_refused}


def openmp_binding() -> dict[str, str]:
    """The environment variables that make OpenMP bind threads to cores, with their values; empty where none does."""
    if os.environ.get("OMP_PROC_BIND", "").strip().lower() == "false":
        return {}
    given = {name: os.environ.get(name, "") for name in BINDING_VARIABLES}
    return {name: text for name, text in given.items() if text.strip().lower() not in UNBOUND}


def allowed_cores() -> tuple[int, ...]:
    """The numbers of the cores this process may use; all cores where the system has no affinity (macOS, Windows).

    OpenMP's binding of the thread that imported torch takes none of them away: its team still uses the others.
    """
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(os.cpu_count() or 1))
    return tuple(sorted(_before_openmp if openmp_binding() else os.sched_getaffinity(0)))


def pin_to(cores: Iterable[int]) -> None:
    """Bind this process, and the threads it starts from now on, to these cores.

    Args:
        cores: their numbers.

    Raises:
        OptionError: this system does not support it.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise OptionError("--cpus: this system does not let a process choose its cores; measure on a Linux board")
    os.sched_setaffinity(0, set(cores))
    _before_openmp.clear()
    _before_openmp.update(cores)


@contextmanager
def all_cores() -> Iterator[None]:
    """Let this thread use all allowed cores inside the block, so that a process started there gets them, too.

    A process inherits the cores of the thread that starts it, and OpenMP may have bound that thread to one.
    """
    if not openmp_binding() or not hasattr(os, "sched_setaffinity"):
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed_cores())
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)


def _cores_before_openmp() -> set[int]:
    """The cores of this process before OpenMP binds its first thread.

    Where OpenMP was loaded before opclock, nothing shows them any more. The parent process, from which they were
    inherited, is then the best source.
    """
    if not hasattr(os, "sched_getaffinity"):
        return set()
    cores = set(os.sched_getaffinity(0))
    if openmp_binding() and _openmp_loaded() and os.getppid():
        with suppress(OSError):  # the parent may have ended
            cores |= os.sched_getaffinity(os.getppid())
    return cores


def _openmp_loaded() -> bool:
    try:
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(library in mapped for library in OPENMP_LIBRARIES)


_before_openmp = _cores_before_openmp()  # opclock/__init__.py imports this module, so mostly before torch
