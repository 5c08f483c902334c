from __future__ import annotations

import platform
from pathlib import Path

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, by the test's markers."""
    for marker in item.iter_markers("runtimes"):
        from opclock.runtimes.registry import find

        if missing := [reason for name in marker.args if (reason := find(name).missing())]:
            pytest.skip("; ".join(missing))
    if item.get_closest_marker("arm") and platform.machine() != "aarch64":
        pytest.skip("needs 64-bit Arm")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture
def profile_path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite"
