"""Wrong arguments of the public functions end in one line with the value and what to give instead."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

import opclock
from opclock.benchmarking.options import SamplingOptions
from opclock.errors import ModelError, OpclockError, OptionError, ProfileError, TraceError, described

MODULE = torch.nn.Linear(3, 2).eval()
INPUTS = (torch.randn(2, 3),)
TRACE = opclock.trace(MODULE, INPUTS)
MODEL = opclock.Model("linear", MODULE, INPUTS)
NO_CALLS = opclock.Model("identity", torch.nn.Identity(), INPUTS)
GEMM = {"m": 8, "n": 8, "k": 8}

# By the line that a user sees: what is called (with an open profile, and an existing file), and the error.
BAD_USES = {
    "trace=None: give a trace, as opclock.trace": (lambda profile, _: opclock.measure(None, profile), TraceError),
    "trace=<Linear>: give a trace": (lambda profile, _: opclock.measure(MODULE, profile), TraceError),
    "trace=<module>: give a trace": (lambda profile, _: opclock.estimate(math, profile), TraceError),
    "profile='p.sqlite': give an open profile": (lambda *_: opclock.measure(TRACE, "p.sqlite"), ProfileError),
    "profile=5: give an open profile": (lambda *_: opclock.estimate(TRACE, 5), ProfileError),
    "forward=3: give a function": (lambda profile, _: opclock.measure(TRACE, profile, forward=3), OptionError),
    "max_s=0: give a number of seconds": (lambda profile, _: opclock.measure(TRACE, profile, max_s=0), OptionError),
    "host='no': give True or False": (lambda profile, _: opclock.estimate(TRACE, profile, host="no"), OptionError),
    "timing='no': give 'in_model' or": (lambda profile, _: opclock.estimate(TRACE, profile, timing="no"), OptionError),
    "threads=True: give a whole number": (
        lambda profile, _: opclock.estimate(TRACE, profile, threads=True), OptionError),
    "models=None: give a list": (lambda profile, _: opclock.validate(None, profile, threads=1), ModelError),
    "models=<Model>: give a list": (lambda profile, _: opclock.validate(MODEL, profile, threads=1), ModelError),
    "models=[]: give a list of at least one": (lambda profile, _: opclock.validate([], profile, threads=1), ModelError),
    "models=[3]: give a list": (lambda profile, _: opclock.validate([3], profile, threads=1), ModelError),
    "identity makes no op call: there is nothing to time": (
        lambda profile, _: opclock.validate([NO_CALLS], profile, threads=1), TraceError),
    "device='nope': ": (lambda *_: opclock.sweep("gemm", **GEMM, device="nope"), OptionError),
    "give an open profile, as opclock.open_profile(path) and opclock.Profile.open(path) return or a path": (
        lambda *_: opclock.sweep("gemm", **GEMM, profile=5), ProfileError),
    "threads=[]: give a whole number or a list": (lambda *_: opclock.sweep("gemm", **GEMM, threads=[]), OptionError),
    "threads holds no number": (lambda *_: opclock.sweep("gemm", **GEMM, threads=iter([])), OptionError),
    "--m <Linear>: give whole numbers": (lambda *_: opclock.sweep("gemm", **{**GEMM, "m": MODULE}), OpclockError),
    "path=None: give a path": (lambda *_: opclock.open_profile(None), OptionError),
    r"path='a\x00b': give a path": (lambda *_: opclock.Profile.open("a\0b"), OptionError),
    "board.sqlite is a profile or another database": (lambda profile, _: TRACE.save(profile.path), OptionError),
    "path=3: give a path": (lambda *_: opclock.Trace.load(3), OptionError),
    "text=None: give a model's name, such as": (lambda *_: opclock.load_model(None), ModelError),
    "weights=3: give a path": (lambda *_: opclock.load_model("zoo:mobilenet", weights=3), OptionError),
    "model=<Linear>: give a model's name": (lambda *_: opclock.bench(MODULE, runtimes=["eager"]), ModelError),
    "settings=3: give opclock.Settings": (
        lambda *_: opclock.bench("zoo:mobilenet", runtimes=["eager"], settings=3), OptionError),
    "x.txt/zoo-mobilenet: Not a directory; name another folder": (
        lambda _, file: opclock.bench("zoo:mobilenet", runtimes=["eager"], folder=file), OptionError),
    "batch=0: give a whole number of at least 1": (
        lambda *_: opclock.bench("zoo:mobilenet", runtimes=["eager"], batch=0), OptionError),
    "runtimes=[]: give a text or a list of at least one": (
        lambda *_: opclock.bench("zoo:mobilenet", runtimes=[]), OptionError),
    "no runtime 'eagr': there are eager": (lambda *_: opclock.bench("zoo:mobilenet", runtimes="eagr"), OptionError),
    "precision='x': give 'float32' or": (lambda *_: opclock.Settings(1, "x"), OptionError),
    "duration_s=nan: give a number of seconds": (lambda *_: SamplingOptions(duration_s=math.nan), OptionError),
    "model=<function>: give a torch.nn.Module": (lambda *_: opclock.trace(lambda x: x, INPUTS), TraceError),
    "blocks=0: give a whole number of at least 1": (
        lambda *_: opclock.reference(MODULE, INPUTS, blocks=0), OptionError),
    "family 3 is no function": (lambda *_: opclock.family(3), OpclockError),
}  # fmt: skip


@pytest.mark.parametrize("line", BAD_USES)
def test_a_wrong_argument_ends_in_one_line(line, tmp_path):
    use, kind = BAD_USES[line]
    file = tmp_path / "x.txt"
    file.write_text("what was there")
    with opclock.open_profile(tmp_path / "board.sqlite") as profile, pytest.raises(kind) as caught:
        use(profile, file)
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert file.read_text() == "what was there"


def test_a_missing_argument_is_named_by_python():
    with pytest.raises(TypeError, match=r"measure\(\) missing 1 required positional argument: 'profile'"):
        opclock.measure(TRACE)


def test_one_runtime_may_be_a_plain_text(monkeypatch):
    asked = []
    monkeypatch.setattr(importlib.import_module("opclock.benchmarking.bench"), "find_all", asked.extend)
    monkeypatch.setattr(importlib.import_module("opclock.benchmarking.bench"), "work_folder", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opclock.bench("zoo:mobilenet", runtimes="onnxruntime")
    assert asked == ["onnxruntime"]


class Raises(torch.nn.Module):
    def forward(self, x):
        raise ValueError("bad input:\n\n  the key is missing\nException raised from somewhere in C++")


def test_an_error_of_several_lines_is_told_whole():
    with pytest.raises(TraceError, match="raised ValueError: bad input: the key is missing; "):
        opclock.trace(Raises(), INPUTS)


def test_an_error_without_a_message_is_told_by_its_type():
    assert described(AssertionError()) == "AssertionError"
    assert len(described(ValueError("x " * 5000))) <= 400
