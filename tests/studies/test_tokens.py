"""What limits the tokens of language models, from estimates made by hand; and the study's files."""

from __future__ import annotations

import json

import pytest
import torch
from helpers import linear_trace, opclock, refused

from opclock.errors import OptionError
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.generation.depths import Measured
from opclock.generation.result import Ceiling, LanguageModelEstimate, Request
from opclock.models.loading import Model
from opclock.report.tokens_page import write_page
from opclock.studies import tokens
from opclock.studies.tokens_results import Refused, TokenCase, Tokens

TRACE = linear_trace("m", 8)
BOARD = {"identity": "a board", "model": "board", "opclock": "0", "commit": "c"}


def estimate(total_s, host_s, half_s):
    parts = (
        Part(0, "head", "aten::linear", "gemm", 64, total_s - host_s, 0.0),
        Part(1, "act", "aten::relu", "activation", 0, 0.0, 0.0),
    )
    return Estimate(
        "m", Setting(2, "cpu", "float32"), total_s, total_s - half_s, total_s + half_s, parts, host_s,
        Coverage(1, 0, 0), (),
    )  # fmt: skip


def case(weights="float32", model="m", tpot_s=0.1, host_s=0.01, roof_s=0.07, macs_s=0.01, cache="dynamic"):
    token = estimate(tpot_s, host_s, 0.001)
    result = LanguageModelEstimate(
        model, Request(4, 3, 1, cache), BOARD, TRACE, estimate(0.2, 0.01, 0.001),
        (Measured(4, TRACE, token), Measured(5, TRACE, token)), None, 256, (8, 16),
        Ceiling(0.1, (roof_s, roof_s)), Ceiling(0.1, (macs_s, macs_s)),
    )  # fmt: skip
    return TokenCase(model, weights, result)


def test_what_takes_most_of_a_token_limits_it():
    bandwidth = case()
    assert bandwidth.limit == "bandwidth"
    assert bandwidth.token == pytest.approx({"bandwidth": 0.7, "kernels": 0.2, "host": 0.1})
    assert case(macs_s=0.06).limit == "compute"
    assert case(host_s=0.08, roof_s=0.01).limit == "host"
    assert case(roof_s=0.01).limit == "kernels"
    assert "100 ms, 70.0 % for what the bandwidth allows at best" in bandwidth.words
    assert "limited by bandwidth. The first token takes 200 ms; limited by compute (50.0 %)" in bandwidth.words


def test_dtypes_are_compared_beyond_their_intervals():
    study = Tokens(BOARD, 2, (
        case(), case("bfloat16", tpot_s=0.05, roof_s=0.04), case("int8", tpot_s=0.2), case("float16", tpot_s=0.1001),
        case(tpot_s=0.12, cache="static"),
    ))  # fmt: skip
    words = study.words()
    assert words[:4] == [
        "bfloat16 weights, tokens: faster for m", "bfloat16 weights, prompts: no difference for m",
        "int8 weights, tokens: slower for m", "int8 weights, prompts: no difference for m",
    ]  # fmt: skip
    same = "the first token takes as long, within the intervals"
    weights = "256 B of weights instead of 256 B"
    assert words[-4:] == [
        f"m, bfloat16 instead of float32 ({weights}): a token is 2.00 times as fast; {same}",
        f"m, int8 instead of float32 ({weights}): a token takes 2.00 times as long; {same}",
        f"m, float16 instead of float32 ({weights}): a token takes as long, within the intervals; {same}",
        f"m, a static instead of a dynamic cache, float32: a token takes 1.20 times as long; {same}",
    ]


def test_the_studys_files(tmp_path):
    large = Refused("large", "float32", "static", "no memory")
    write_page(Tokens(BOARD, 2, (case(), case("int8", model="other")), (large,)), tmp_path)
    data = json.loads((tmp_path / "tokens.json").read_text())
    assert data["schema"] == "opclock.tokens/1"
    assert [one["limit"] for one in data["cases"]] == ["bandwidth", "bandwidth"]
    page = (tmp_path / "index.html").read_text()
    assert "limited by bandwidth" in page
    assert "large in float32 with a static cache was not timed: no memory" in page
    assert "data:image/png" in page
    assert data["refused"][0]["reason"] == "no memory"
    assert (tmp_path / "tokens.csv").read_text().startswith("model,weights,cache,ttft_s")
    assert "| other" in (tmp_path / "tokens.md").read_text()


def test_weights_that_cannot_be_narrow_are_named_and_the_others_timed(monkeypatch, profile):
    """int4 kernels of a processor with AVX-512 take widths of 16 alone: GPT-2's 50,257 words ended the study."""

    def quantise(_model, _weights):
        raise RuntimeError("expect N to be dividable by 16")

    monkeypatch.setattr(tokens, "language_model", lambda _model, _profile, **_options: case().result)
    monkeypatch.setattr(tokens, "load_language_model", lambda *_names, **_options: Model("m", torch.nn.Identity(), ()))
    monkeypatch.setattr(tokens, "_quantise", quantise)
    monkeypatch.setattr(tokens, "_installed", lambda _module: True)
    study = tokens.run(profile, threads=1, models=["gpt2-124m"])
    assert len(study.cases) == 3
    assert [one.weights for one in study.refused] == ["int8", "int4"]
    assert "torchao's int4 of gpt2-124m raised RuntimeError: expect N" in study.refused[1].words


def test_the_command_measures_each_model_in_each_setting(tmp_path, monkeypatch):
    asked = []

    def estimated(model, _profile, **options):
        asked.append((model, options["cache"]))
        if "gpt2" in model:
            raise OptionError("no memory")
        return case().result

    monkeypatch.setattr(tokens, "language_model", estimated)
    monkeypatch.setattr(tokens, "_loaded", lambda name, weights: f"{name} {weights}")
    monkeypatch.setattr(tokens, "_installed", lambda _module: False)
    done = opclock("study", "tokens", "--report", tmp_path / "none", "--models", "gpt2-124m", "--threads", "1")
    refused(done, "no model of the study was timed; gpt2-124m in float32 with a dynamic cache was not timed: no memory")
    done = opclock("study", "tokens", "--report", tmp_path / "tokens", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert set(asked) >= {("llama-135m float32", "static"), ("qwen-67m bfloat16", "dynamic")}
    assert not any("int" in name for name, _ in asked)
    assert "gpt2-124m in float32 with a static cache was not timed: no memory" in done.stdout
    assert (tmp_path / "tokens" / "index.html").is_file()
