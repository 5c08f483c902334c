"""What timing a language model holds in memory, counted by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from opclock.errors import OptionError
from opclock.generation import memory
from opclock.generation.causal import causal_model
from opclock.generation.memory import MemoryNeed
from opclock.generation.plan import plan
from opclock.generation.programs import prompt_program, token_program
from opclock.generation.result import Request
from opclock.models.loading import load_language_model

SMALL = f"{Path(__file__).resolve().parents[1] / 'small_language_model.py'}:make"
# 50 x 64 for words and logits, 50 biases; two layers: norm 128, projection 64 x 192 + 192, out 64 x 64 + 64.
WEIGHTS = 4 * (2 * 50 * 64 + 50 + 2 * (128 + 64 * 192 + 192 + 64 * 64 + 64))
TOKEN = 2 * 2 * 64 * 4  # bytes of keys and values in two layers
REQUEST = Request(prompt=10, generate=12, batch=3, cache="dynamic")


def need(request=REQUEST, processes=0, depths=()):
    causal = causal_model(load_language_model(SMALL), "dynamic", 64)
    return MemoryNeed(causal, request, plan(request, depths), processes)


def test_a_growing_cache_is_held_by_programs_by_op_calls_and_once_by_what_runs():
    # depths 10, 15, 17 and 20
    assert need().parts(5000) == {
        "weights": WEIGHTS, "caches": (2 * (10 + 15 + 17 + 20) + 20) * 3 * TOKEN, "activations": 2 * 5000,
    }  # fmt: skip


def test_a_static_cache_is_held_by_programs_and_once_by_their_common_op_calls(tmp_path):
    pytest.importorskip("transformers")
    configuration = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 16, "n_layer": 1,
                     "n_head": 2, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    request = Request(10, 12, 3, "static")
    causal = causal_model(load_language_model(f"hf:{tmp_path}"), "static", 22)
    static = MemoryNeed(causal, request, plan(request), processes=1).parts(5000)
    keys_and_values = 2 * 3 * 22 * 16 * 4  # room for all tokens from the start
    assert static["caches"] == pytest.approx(5 * keys_and_values, rel=0.01)  # and counters
    assert static["other processes"] == static["weights"] + static["caches"] // 5 + 5000


def test_other_processes_hold_weights_a_cache_before_and_after_a_token_and_the_prompt():
    parts = need(processes=2, depths=(100,)).parts(5000)
    assert parts["other processes"] == 2 * (WEIGHTS + 2 * 20 * 3 * TOKEN + 5000)  # they do not come to depth 100
    assert parts["activations"] == 10 * 5000  # of a prompt of 100, which fills a cache


def test_before_the_prompt_is_traced_logits_and_numbers_of_tokens_count():
    assert need().parts(0)["activations"] == 2 * 3 * (4 * 50 + 8 * 10)


def test_the_bytes_of_a_cache_are_those_that_its_program_has():
    causal = causal_model(load_language_model(SMALL), "dynamic", 64)
    programs = [token_program(causal, 3, depth).cache_bytes for depth in (10, 15, 17, 20)]
    assert need().parts(0)["caches"] == 2 * sum(programs) + programs[-1]


def test_the_parts_in_the_message_add_up_to_its_total(monkeypatch):
    causal = causal_model(load_language_model(SMALL), "dynamic", 64)
    prompt = prompt_program(causal, 3, 10).trace.run_bytes
    wanted = need(processes=2)
    total = sum(wanted.parts(prompt).values())
    monkeypatch.setattr(memory, "free_bytes", lambda _device: total)
    wanted.check(prompt)
    monkeypatch.setattr(memory, "free_bytes", lambda _device: total - 1)
    with pytest.raises(OptionError) as caught:
        wanted.check(prompt)
    units = {"kB": 1e3, "MB": 1e6}
    shown = [float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) (kB|MB)", str(caught.value))]
    assert len(shown) == 6  # the total, four parts, what is free
    assert sum(shown[1:5]) == pytest.approx(shown[0], rel=0.01)
