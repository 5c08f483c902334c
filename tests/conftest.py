from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import faulty
import pytest

if TYPE_CHECKING:
    from opclock.profiles.profile import Profile


def pytest_configure(config: pytest.Config) -> None:
    """No property fails because the machine is busy."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        settings.register_profile("no deadline", deadline=None)
        settings.load_profile("no deadline")


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


@pytest.fixture(autouse=True, scope="session")
def undisturbed() -> Iterator[None]:
    """To this process the kernel seems to know of no other program, so that no test depends on a quiet machine."""
    from opclock.board import contention

    with pytest.MonkeyPatch.context() as patch:
        nothing = contention.Counters(0.0, 0, 0, 0, 0)
        patch.setattr(contention.Contention, "read", lambda self: nothing._replace(wall_s=time.perf_counter()))
        patch.setattr("opclock.cli.options.OTHER_PROGRAMS.cores", lambda: 0.0)
        yield


@pytest.fixture
def short_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, measure and validate take fewer rounds than a good number needs."""
    monkeypatch.setattr("opclock.timing.measure.MAX_S", 0.2)
    monkeypatch.setattr("opclock.validation.session.MAX_S", 0.2)


@pytest.fixture
def quick_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new profile's ceilings are made up, not measured."""
    monkeypatch.setattr("opclock.timing.ceiling_runs._rate", lambda *_: 1e11)


@pytest.fixture
def profile_path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite"


@pytest.fixture
def profile(profile_path: Path) -> Iterator[Profile]:
    """This board's profile, empty and open for writing."""
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile

    with Profile.create_or_open(profile_path, read_board()) as opened:
        yield opened


@pytest.fixture
def faulty_runtimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with faulty.installed(tmp_path_factory.mktemp("site")):
        yield
