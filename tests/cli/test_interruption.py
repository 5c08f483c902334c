"""Ctrl-C says what is kept, and only what is."""

from __future__ import annotations

import pytest
from helpers import SMALL, opclock


@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_looks_whether_anything_was_stored(tmp_path, monkeypatch, stored):
    def interrupted(_trace, profile, **_options):
        if stored:
            profile.add_ceiling("multiply_adds_int8", 0, 1, 1e9)
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.timing.measure.measure", interrupted)
    done = opclock("measure", SMALL, "--profile", tmp_path / "p.sqlite")
    assert done.returncode == 130
    kept = f"what was finished is kept in {tmp_path}/p.sqlite: the same command goes on"
    assert done.stderr.strip().endswith(f"opclock: interrupted; {kept if stored else 'nothing was stored'}")
