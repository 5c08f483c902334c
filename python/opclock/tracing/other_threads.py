"""Notices op calls that a model makes in threads of its own, which no trace would have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any
from unittest.mock import patch

from torch.utils._python_dispatch import TorchDispatchMode

from opclock.errors import TraceError

# Methods that hand a function, their first argument, to another thread.
HANDING_OVER = ((ThreadPoolExecutor, "submit"), (ThreadPool, "apply_async"), (ThreadPool, "_map_async"))


class _Noting(TorchDispatchMode):
    """Notes the operators that a thread calls."""

    def __init__(self, met: list[str]) -> None:
        super().__init__()
        self._met = met

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        self._met.append(f"{func._schema.name} in thread {threading.current_thread().name}")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_other_threads(name: str) -> Iterator[None]:
    """Raise TraceError at the end of the block where op calls ran in threads that the model begins or employs."""
    met: list[str] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def inside(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            with _Noting(met):
                return function(*args, **kwargs)

        return inside

    def handing_over(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda pool, function, *args, **kwargs: method(pool, noted(function), *args, **kwargs)

    def starting(thread: threading.Thread) -> None:
        if type(thread).__module__ == "threading" and getattr(thread, "_target", None) is not None:
            worker = str(getattr(thread._target, "__module__", "")).startswith(("concurrent.", "multiprocessing."))  # type: ignore[attr-defined]
        else:
            worker = type(thread).__module__.startswith("multiprocessing.")
        if not worker:  # a pool's thread outlives the block: its functions are noted one by one
            thread.run = noted(thread.run)  # type: ignore[method-assign]
        start(thread)

    start = threading.Thread.start
    with ExitStack() as stack:
        stack.enter_context(patch.object(threading.Thread, "start", starting))
        for owner, method in HANDING_OVER:
            stack.enter_context(patch.object(owner, method, handing_over(getattr(owner, method))))
        yield
    if met:
        raise TraceError(
            f"{name} calls {met[0]}: opclock records and plays one thread; call it in the thread of the forward"
        )
