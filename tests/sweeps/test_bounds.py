"""Sweeps that cannot be: families that this PyTorch lacks, sizes beyond memory, grids without end."""

from __future__ import annotations

import pytest
from helpers import opclock, refused

import opclock as package
from opclock.errors import SweepError
from opclock.sweeps import FAMILIES, presets
from opclock.sweeps.configuration import configuration, grid, parse
from opclock.sweeps.families import Family, IllegalError, aten, tensor
from opclock.sweeps.presets import preset


def test_a_preset_family_that_cannot_be_planned_ends(monkeypatch):
    def refuses(random_):
        random_.random()
        raise IllegalError("this PyTorch lacks it")

    def repeats(_random):
        return {"m": 1, "n": 1, "k": 1}

    drawn = {"gemm": (3, repeats), "norm": (2, refuses)}
    monkeypatch.setattr(presets, "NARROW", {})
    monkeypatch.setattr(presets, "BOARD", drawn)
    planned, missing = preset("board")
    assert [one.configuration.family for one in planned] == ["gemm"]
    assert dict(missing) == {"gemm: all draws are known or too large": 2, "norm: this PyTorch lacks it": 2}
    monkeypatch.setattr(presets, "BOARD", {"norm": (2, refuses)})
    with pytest.raises(SweepError, match="norm: this PyTorch lacks it"):
        preset("board")


def test_floats_on_the_command_line_parse():
    assert parse("0.5,1e-3,2", 1.0) == [0.5, 0.001, 2]
    assert parse("8,1x7,true", 1) == [8, (1, 7), "true"]
    assert parse("0.5,nearest", "bilinear") == ["0.5", "nearest"]
    with pytest.raises(SweepError, match="finite"):
        parse("nan", 1.0)
    with pytest.raises(SweepError, match="empty value"):
        parse("8,,8", 1)


def test_a_family_takes_floats_and_whole_numbers_for_a_float():
    def scaled(size: int, alpha: float = 1.0):
        """Scaled addition."""
        return aten("add.Tensor", tensor(1, size), tensor(1, size), alpha=alpha)

    family = Family("scaled", scaled)
    for text, value in (("0.5", 0.5), ("2", 2)):
        made = configuration(family, {"size": 8, "alpha": parse(text, 1.0)[0]})
        assert dict(made.parameters)["alpha"] == value
    with pytest.raises(IllegalError, match="whole numbers"):
        configuration(family, {"size": 0.5})
    with pytest.raises(IllegalError, match="whole numbers"):
        configuration(family, {"size": True})


@pytest.mark.parametrize("family", ["gemm", "conv2d", "elementwise", "recurrent", "resize"])
def test_sizes_beyond_memory_are_one_line(family, tmp_path):
    huge = {
        "gemm": ["--m", "100000000", "--n", "100000000", "--k", "1"],
        "conv2d": ["--in-channels", "100000", "--out-channels", "8", "--size", "1000000"],
        "elementwise": ["--channels", "64", "--size", "99999999"],
        "recurrent": ["--steps", "100000000", "--width", "1000000", "--hidden", "8"],
        "resize": ["--channels", "3", "--size", "99999999"],
    }[family]
    refused(opclock("sweep", family, *huge, "--profile", tmp_path / "p.sqlite"), "smaller sizes")
    assert not list(tmp_path.iterdir())


def test_sizes_beyond_any_integer_are_one_line():
    with pytest.raises(SweepError, match="smaller sizes"):
        package.sweep("gemm", m=10**30, n=1, k=1)


def test_grids_without_end_are_one_line(tmp_path):
    refused(opclock("sweep", "gemm", "--m", "1:9999999999", "--n", "1", "--k", "1"), "1:9999999999", "larger step")
    many = "1:4000"
    refused(opclock("sweep", "gemm", "--m", many, "--n", many, "--k", many), "6.4e+10 combinations", "fewer values")
    with pytest.raises(SweepError, match="fewer"):
        grid("gemm", {name: range(4000) for name in "mnk"})
    assert "gemm" in FAMILIES
