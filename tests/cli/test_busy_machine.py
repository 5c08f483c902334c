"""Other programs are named before anything is measured beside them."""

from __future__ import annotations

import math

import pytest
from helpers import SMALL, opclock

from opclock.cli.reporting import note


@pytest.mark.parametrize(("cores", "said"), [(1.6, True), (0.1, False), (math.nan, False)])
def test_a_command_that_measures_names_busy_cores(tmp_path, monkeypatch, cores, said):
    """A sweep on a busy machine took four times as long, and nothing said why."""

    def interrupted(_trace, _profile, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.cli.options.OTHER_PROGRAMS.cores", lambda: cores)
    monkeypatch.setattr("opclock.timing.measure.measure", interrupted)
    done = opclock("measure", SMALL, "--profile", tmp_path / "p.sqlite")
    assert ("note: other programs keep 1.6 of " in done.stderr) is said


def test_a_remark_fits_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    note("other programs keep 1.6 of 2 cores busy: what they disturb is measured again")
    assert capsys.readouterr().err.splitlines() == [
        "note: other programs keep 1.6 of 2 cores",
        "  busy: what they disturb is measured",
        "  again",
    ]
