"""A command that writes a result within a second, without torch: an estimate from a trace and a profile."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory):
    from helpers import chain

    path = tmp_path_factory.mktemp("traces") / "chain.json"
    chain("relu", "conv2d", "relu").save(path)
    return path


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A profile of the calls of ``trace_file``."""
    import numpy as np
    from helpers import board_profile, chain

    path = tmp_path_factory.mktemp("profiles") / "chain.sqlite"
    calls = list({call.call.key: call for call in chain("relu", "conv2d", "relu").calls}.values())
    board_profile(path, calls, np.full(len(calls), 1e-4))
    return path


@pytest.fixture
def estimated(trace_file, profile):
    """The arguments of the estimate with these options."""
    return lambda *options: ["estimate", str(trace_file), "--profile", str(profile), *map(str, options)]
