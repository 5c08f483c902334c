"""Estimates of a language model: from kernels to JSON, beside real generation, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import opclock, refused

import opclock as api
from opclock.board.accelerator import simulated
from opclock.cli.main import commands
from opclock.errors import EstimateError, ModelError, OptionError
from opclock.generation import memory
from opclock.generation.reference import GenerationReference, GenerationRun
from opclock.generation.roles import ROLES
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.report.generation_tables import machine_state_sentence

SMALL = f"{Path(__file__).resolve().parents[1] / 'small_language_model.py'}:make"
KEYS = {"schema", "model", "dtype", "threads", "batch", "prompt", "generate", "ttft_s", "decode", "total_s",
        "tokens_per_s", "by_class", "host_s", "macs", "roofline", "flags", "reference", "errors"}  # fmt: skip


def slower(profile, factor):
    """The usual state of a profile's machine, once each control workload takes so many times as long."""
    usual = usual_state(profile, 1)
    return MachineState({name: level + math.log(factor) for name, level in usual.levels.items()})


@pytest.fixture(scope="module")
def estimated(tmp_path_factory):
    """A small model, timed in turn with real generation; predicted, once more, and for a machine half as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opclock.timing.ceiling_runs._rate", lambda *_: 1e11)
        with api.open_profile(tmp_path_factory.mktemp("profile") / "board.sqlite") as profile:
            result = api.language_model(
                SMALL, profile, prompt=6, generate=9, batch=2, threads=1, validate=True, processes=1, max_s=0.1
            )
            predicted = api.language_model(SMALL, profile, prompt=6, generate=9, batch=2, predict=True)
            again = api.language_model(SMALL, profile, prompt=6, generate=9, batch=2, threads=1, max_s=0.1)
            slow = api.language_model(
                SMALL, profile, prompt=6, generate=9, batch=2, predict=True, state=slower(profile, 2.0)
            )
    return result, again, predicted, slow


def test_the_parts_add_up(estimated):
    result, again, predicted, _ = estimated
    assert result.total_s == pytest.approx(result.ttft_s + 8 * result.tpot_s)
    assert sum(result.by_class.values()) == pytest.approx(result.total_s)
    assert result.by_role["token"]["host"] > 0
    low, high = result.interval_s
    assert low <= result.total_s <= high
    tokens = [one.estimate for one in result.measured if one.depth != result.held_out]
    lowest = min(one.ci_low_s / one.total_s for one in tokens) - abs(result.misfit)
    assert low == pytest.approx(result.prompt.ci_low_s + result.generate_s * max(0.0, lowest))
    assert result.tokens_per_s["generate"] == pytest.approx(2 / result.tpot_s)
    assert again.total_s == pytest.approx(result.total_s)  # nothing was timed again
    assert predicted.total_s == pytest.approx(result.total_s)
    assert predicted.roofline == result.roofline


def test_op_calls_without_a_number_are_named_and_no_estimate(estimated, tmp_path, monkeypatch):
    """They counted as 0, and the exit code was 0."""
    result = estimated[0]
    lacking = replace(result, prompt=replace(result.prompt, unknown=("aten::a()", "aten::b()")))
    assert (result.unknown, lacking.unknown) == ((), ("aten::a()", "aten::b()"))
    monkeypatch.setattr("opclock.generation.language_model.language_model", lambda *_args, **_options: lacking)
    with pytest.raises(EstimateError, match=r"^incomplete: 2 op calls of .* have no number, first aten::a\(\); they"):
        commands.main(["llm", SMALL, "--profile", str(tmp_path / "p.sqlite")], standalone_mode=False)


def test_predicting_needs_a_profile_with_a_sweep(tmp_path):
    refused(opclock("llm", SMALL, "--predict"), "--predict answers from a profile: name it with --profile")
    missing = tmp_path / "board.sqlite"
    done = opclock("llm", SMALL, "--predict", "--profile", missing)
    refused(done, f"write one with 'opclock sweep --preset board --profile {missing}'")


def test_a_far_depth_does_not_change_the_generation(estimated):
    """A line from 0 to 1,000 tokens went above each of the tokens from 64 to 94."""
    result = estimated[0]
    far = replace(result.measured[-1], depth=10_000)
    wider = replace(result, measured=(*result.measured, far), cache_bytes=(*result.cache_bytes, 1))
    assert wider.tpot_s == result.tpot_s
    assert wider.misfit == result.misfit
    assert wider.by_role == result.by_role
    assert wider.curve.seconds([10_000])[0] != result.curve.seconds([10_000])[0]


def test_an_estimate_holds_for_a_state_of_the_machine(estimated):
    result, slow = estimated[0], estimated[3]
    assert slow.total_s == pytest.approx(2 * result.total_s)
    assert slow.tpot_s == pytest.approx(2 * result.tpot_s)
    usual, other = (1 + one.to_json()["machine_state"]["change"] for one in (result, slow))
    assert other == pytest.approx(2 * usual)
    assert machine_state_sentence(slow).startswith("machine state: +")


def test_a_state_and_a_comparison_in_the_same_minutes_exclude_each_other(tmp_path):
    with api.open_profile(tmp_path / "p.sqlite") as profile:
        with pytest.raises(OptionError, match="leave the state out"):
            api.language_model(SMALL, profile, validate=True, state=MachineState({}))
    done = opclock("llm", SMALL, "--validate", "--now", "--profile", tmp_path / "p.sqlite")
    refused(done, "--validate compares what is timed in the same minutes: leave out --now and --state")


def test_the_json_has_what_is_documented(estimated):
    result = estimated[0]
    data = json.loads(json.dumps(result.to_json()))
    assert set(data) >= KEYS
    assert data["schema"] == "opclock.llm/1"
    assert [one["depth"] for one in data["decode"]] == [6, 9, 11, 13]
    assert set(data["decode"][0]) >= {"depth", "tpot_s", "ci_low_s", "ci_high_s", "cache_bytes"}
    assert data["ttft_ci_low_s"] <= data["ttft_s"] <= data["ttft_ci_high_s"]
    assert data["tpot_ci_low_s"] <= data["tpot_s"] <= data["tpot_ci_high_s"]
    assert tuple(data["by_class"]) == ROLES
    assert set(data["roofline"]) == {"ttft_s", "tpot_s"}
    assert data["macs"]["token"][0] == 2 * (2 * (64 * 192 + 64 * 64) + 64 * 50 + 2 * 2 * 7 * 64)
    assert data["reference"]["generations"] >= 6
    assert set(data["errors"]) == {"ttft", "tpot", "total"}


def test_the_table_has_a_row_for_each_depth(estimated):
    frame = estimated[0].to_frame()
    assert list(frame["depth"]) == [6, 9, 11, 13]
    assert frame["reference_s"].notna().all()
    assert frame["cache_bytes"].is_monotonic_increasing
    assert "reference_s" not in estimated[1].to_frame()


@pytest.mark.parametrize("columns", ["80", "120"])
def test_what_is_printed_fits(estimated, columns, monkeypatch, capsys):
    from opclock.cli.llm import _report
    from opclock.cli.reporting import Reporter

    monkeypatch.setenv("COLUMNS", columns)
    _report(estimated[0], None, Reporter())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    text = " ".join(line.strip() for line in lines)
    for words in ("prompt of 6, 9 tokens generated, batch 2", "first token after", "the roofline says",
                  "memory: weights", "misfit at depth 11", "real greedy generation"):  # fmt: skip
        assert words in text


def test_the_picture_is_drawn(estimated):
    pytest.importorskip("matplotlib")
    from opclock.report.generation_plot import draw

    assert draw(estimated[0], "svg").startswith(b"<?xml")


def test_real_generation_by_hand():
    first = np.array([[9.0, 1.0, 1.0, 3.0], [9.0, 1.0, 1.0, 3.0]])
    halves = [first.tolist(), (2 * first).tolist()]
    real = GenerationReference.joined(10, [{"halves": halves, "contended": False}])
    assert (real.ttft_s, real.total_s, real.tpot_s) == (13.5, 21.0, 2.5)
    assert real.repeat_errors == {"ttft": 1.0, "tpot": 1.0, "total": 1.0}
    assert real.tpot_at_s(10) == real.tpot_s  # all tokens after the first are near
    assert real.tpot_at_s(9) is None
    assert real.tpot_at_s(13) is None
    with pytest.raises(ModelError, match="no generation"):
        GenerationReference.joined(10, [{"halves": [[], []], "contended": False}])


def test_generation_is_timed_token_by_token():
    causal = small_model()
    run = GenerationRun(causal, 1, 4, 5)
    run.block(0)
    run.block(1)
    samples = run.samples()
    assert [len(half[0]) for half in samples["halves"]] == [5, 5]
    assert run.clean_runs >= 1


def small_model():
    from opclock.generation.causal import causal_model

    return causal_model(api.load_language_model(SMALL), "dynamic", 32)


def test_memory_that_does_not_suffice_at_the_last_depth(monkeypatch, profile):
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 300_000)
    monkeypatch.setattr("opclock.generation.language_model.sample", None)  # nothing is timed
    with pytest.raises(OptionError, match=r"at depth 254 \(.* for weights, .* for caches, .*\), and 300 kB are free"):
        api.language_model(SMALL, profile, threads=1)


@pytest.mark.parametrize(("arguments", "words"), [
    ((SMALL, "--depths", "1,x"), "give numbers of tokens"),
    ((SMALL, "--cache", "static"), "makes its own cache"),
    ((SMALL, "--depths", "0"), "depths of at least 1"),
    ((SMALL.replace(":make", ":plain"),), "generates no text with a cache"),
    ((SMALL, "--predict"), "name it with --profile"),
    ((SMALL, "--plot", "curve.txt"), "must end in .png or .svg"),
    ((SMALL, "--depths=-1,4"), "give numbers of tokens"),
    ((SMALL, "--generate", "1"), "--generate"),
    ((SMALL, "--batch", "1000000000"), "give a smaller --batch"),
    ((SMALL, "--depths", "1000000000"), "are free on cpu"),
    ((SMALL, "--validate", "--processes", "10000000"), "for other processes), and"),
    ((SMALL, "--validate", "--processes", "10000000"), "or --depths, fewer --processes"),
    ((SMALL, "--loops"), "--loops is for real generation: give --validate, too"),
    ((SMALL, "--loops", "--validate"), "its own loop"),
    ((SMALL, "--predict", "--profile", "none.sqlite"), "opclock llm"),
])  # fmt: skip
def test_bad_input_is_one_line_and_ends_with_2(arguments, words):
    refused(opclock("llm", *arguments, "--threads", "1"), words)


def test_other_processes_need_a_name(profile):
    loaded = api.load_language_model(SMALL)
    unnamed = api.Model(loaded.name, loaded.module, (), functions=loaded.functions)
    with pytest.raises(OptionError, match="give the name"):
        api.language_model(unnamed, profile, threads=1, validate=True)
    with pytest.raises(OptionError, match="at least 2"):
        api.language_model(unnamed, profile, threads=1, generate=1)


def test_activations_that_do_not_fit_are_known_before_anything_large_runs(monkeypatch, profile):
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 3_500_000)
    with pytest.raises(OptionError, match=r"at depth 1000 .* MB for activations\), and 3.50 MB are free"):
        api.language_model(SMALL, profile, prompt=1000, generate=2, threads=1)


def test_a_profile_without_sweeps_predicts_nothing_and_says_what_helps(profile):
    with pytest.raises(EstimateError, match=r"a language model: 'opclock llm'.*'opclock sweep --preset board'"):
        api.language_model(SMALL, profile, prompt=4, generate=2, predict=True)


def test_a_device_beside_the_host_gives_the_same_table(profile):
    with simulated():
        result = api.language_model(SMALL, profile, prompt=4, generate=3, threads=1, max_s=0.1)
    assert list(result.to_frame()["depth"]) == [4, 5]
    assert sum(result.by_class.values()) == pytest.approx(result.total_s)
    assert result.measured[0].estimate.lanes is not None
    assert result.roofline is None
