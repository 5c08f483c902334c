from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def sockets_that_dask_leaves_open() -> Iterator[None]:
    """Collect them here. One was collected in the middle of another package's test, whose warnings are errors."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
