"""The programs of a language model: what a token at a depth does, and that each run does the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from opclock.errors import ModelError, OptionError, TraceError
from opclock.generation import loops
from opclock.generation.cache_snapshot import CacheSnapshot
from opclock.generation.causal import causal_model, filled_cache, greedy
from opclock.generation.kept_programs import fingerprint
from opclock.generation.plan import plan
from opclock.generation.programs import prompt_program, token_program
from opclock.generation.result import Request
from opclock.generation.roles import roles
from opclock.models.loading import load_language_model

SMALL = Path(__file__).resolve().parents[1] / "small_language_model.py"
CONFIGURATIONS = {
    "GPT2LMHeadModel": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32},
    "Gemma3ForCausalLM": {
        "model_type": "gemma3_text", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32,
        "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"],
    },
}  # fmt: skip


def small(factory="make"):
    return causal_model(load_language_model(f"{SMALL}:{factory}"), "dynamic", 64)


def transformer(tmp_path, architecture, kind="dynamic", tokens=24):
    import json

    pytest.importorskip("transformers")
    configuration = {"architectures": [architecture], "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2,
                     "pad_token_id": 0, **CONFIGURATIONS[architecture]}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    return causal_model(load_language_model(f"hf:{tmp_path}"), kind, tokens)


def products(program):
    """The shapes of keys in attention."""
    calls = (traced.call for traced in program.trace.calls)
    return [call.tensors()[1].shape for call in calls if "scaled_dot_product" in call.name]


def test_a_token_at_a_depth_attends_to_the_cache_and_itself():
    causal = small()
    assert products(prompt_program(causal, 3, 7)) == [(3, 4, 7, 16)] * 2
    program = token_program(causal, 3, 7)
    assert products(program) == [(3, 4, 8, 16)] * 2
    assert program.cache_bytes == 2 * 2 * 3 * 4 * 7 * 16 * 4


def test_the_cache_is_put_back_before_each_run():
    program = token_program(small(), 1, 5)
    for _ in range(3):
        with program.forward.prepared():
            _, cache = program.forward()
        assert cache[0][0].shape[-2] == 6


def test_op_calls_are_sorted_by_what_they_are_for():
    program = token_program(small(), 1, 5)
    found = {traced.call.name: role for traced, role in zip(program.trace.calls, roles(program.trace), strict=True)}
    assert found["linear"] == "weights"
    assert found["scaled_dot_product_attention"] == "attention"
    assert found["cat"] == "cache"
    assert found["layer_norm"] == "norms"
    assert found["argmax"] == "other"


def test_a_cache_of_any_shape_that_grows_is_one():
    """Batch x tokens x width, joined along the second dimension, counted as other work."""
    program = token_program(small("without_heads"), 1, 5)
    found = {traced.call.name: role for traced, role in zip(program.trace.calls, roles(program.trace), strict=True)}
    assert found["cat"] == "cache"


def test_a_snapshot_restores_lists_dicts_and_counters():
    counter, keys = torch.tensor(3), torch.zeros(1, 2, 3, 4)
    cache = {"length": counter, "layers": [keys]}
    snapshot = CacheSnapshot(cache)
    counter.add_(1)
    cache["layers"][0] = torch.cat([keys, keys], 2)
    cache["more"] = 1
    snapshot.restore()
    assert counter.item() == 3
    assert cache["layers"][0] is keys
    assert "more" not in cache
    assert snapshot.nbytes == keys.nbytes + counter.nbytes


@pytest.mark.parametrize("kind", ["dynamic", "static"])
@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_caches_of_transformers_stay_at_their_depth(architecture, kind, tmp_path):
    causal = transformer(tmp_path, architecture, kind)
    program = token_program(causal, 1, 9)  # beyond the sliding window
    assert "cache" in roles(program.trace)
    tokens = set()
    for _ in range(3):
        with program.forward.prepared():
            token, cache = program.forward()
        tokens.add(int(token))
        assert int(cache.get_seq_length()) == 10
    assert len(tokens) == 1


def test_a_cache_holds_what_the_real_generation_left_there(tmp_path):
    causal = transformer(tmp_path, "GPT2LMHeadModel")
    cache = filled_cache(causal, 1, 5)
    with torch.inference_mode():
        logits, real = causal.prefill(causal.prompt(1, 4))
        _, real = causal.decode(greedy(logits), real)
    assert torch.equal(cache.layers[0].keys, real.layers[0].keys)
    assert filled_cache(causal, 1, 0).get_seq_length() == 0


def test_more_tokens_than_the_model_allows(tmp_path):
    causal = transformer(tmp_path, "GPT2LMHeadModel")
    causal.check_length(16, 16, 31)
    with pytest.raises(OptionError, match=r"30 and 3 generated tokens are 33, and .* allows 32"):
        causal.check_length(30, 3, 32)
    with pytest.raises(OptionError, match="depth 32 is number 33"):
        causal.check_length(8, 8, 32)


@pytest.mark.parametrize(("factory", "words"), [
    ("plain", "generates no text with a cache"), ("one_function", "name both"),
])  # fmt: skip
def test_models_that_generate_nothing(factory, words):
    with pytest.raises(ModelError, match=words):
        small(factory)


@pytest.mark.parametrize(("factory", "words"), [
    ("forgetful", "returns no cache"), ("failing", "not today"),
    ("all_logits", r"logits of 1x3x50: .* \(1 x vocabulary\)"),
    ("no_pair", "returns Tensor: return logits"), ("no_logits", "returns list as logits"),
])  # fmt: skip
def test_caches_that_cannot_be_filled(factory, words):
    with pytest.raises((ModelError, TraceError), match=words):
        filled_cache(small(factory), 1, 4)


def test_a_factorys_cache_has_no_depth_0_and_is_not_static():
    with pytest.raises(OptionError, match="depths of at least 1"):
        filled_cache(small(), 1, 0)
    with pytest.raises(OptionError, match="cache='static'"):
        causal_model(load_language_model(f"{SMALL}:make"), "static", 8)


def test_the_depths_that_are_measured():
    assert plan(Request(128, 128, 1, "dynamic")).depths == (128, 191, 222, 254)
    assert plan(Request(128, 128, 1, "dynamic")).held_out == 222
    some = plan(Request(8, 8, 1, "dynamic"), (0, 100))
    assert (some.depths, some.held_out, some.room) == ((0, 8, 11, 14, 100), 11, 101)
    assert plan(Request(8, 2, 1, "dynamic")) == plan(Request(8, 2, 1, "static"))
    assert plan(Request(8, 2, 1, "dynamic")).held_out is None
    with pytest.raises(OptionError, match="from 0"):
        plan(Request(8, 8, 1, "dynamic"), (-1,))


def test_loops_of_transformers_are_timed_outside_the_model(tmp_path, monkeypatch):
    causal = transformer(tmp_path, "GPT2LMHeadModel")
    now_s = 0.0

    def taking(seconds, function):
        def slow(*args, **kwargs):
            nonlocal now_s
            now_s += seconds
            return function(*args, **kwargs)

        return slow

    module = causal.module
    monkeypatch.setattr(loops, "TOKENS", 3)
    monkeypatch.setattr(loops.time, "perf_counter", lambda: now_s)
    monkeypatch.setattr(module.transformer, "forward", taking(100.0, module.transformer.forward))
    monkeypatch.setattr(module, "prepare_inputs_for_generation", taking(2.0, module.prepare_inputs_for_generation))
    assert loops.loop_costs(causal, 1, 4, 8) == dict.fromkeys(loops.LOOPS, 2.0)
    assert not module._forward_hooks


def test_a_filled_profile_answers_without_the_model(tmp_path, monkeypatch, profile):
    from opclock.generation import language_model as module

    transformer(tmp_path, "GPT2LMHeadModel")
    asked = {"prompt": 3, "generate": 2, "threads": 1, "max_s": 0.05}
    first = module.language_model(f"hf:{tmp_path}", profile, **asked)
    monkeypatch.setattr(module, "load_language_model", None)  # nothing is loaded
    monkeypatch.setattr(module, "all_known", lambda *_: True)  # also where other programs disturbed the rounds
    again = module.language_model(f"hf:{tmp_path}", profile, **asked)
    predicted = module.language_model(f"hf:{tmp_path}", profile, prompt=3, generate=2, predict=True)
    for other in (again, predicted):
        assert other.to_json() == first.to_json()
    with pytest.raises(TypeError):  # another question
        module.language_model(f"hf:{tmp_path}", profile, **asked | {"batch": 2})


def test_what_decides_the_programs_is_in_the_fingerprint(tmp_path):
    request = Request(4, 2, 1, "dynamic")
    config = tmp_path / "config.json"

    def digest(dtype="auto"):
        return fingerprint(f"hf:{tmp_path}", dtype, "cpu", request, plan(request))

    assert digest() is None
    config.write_text("{}")
    before = digest()
    assert before == digest()
    assert before != digest("bfloat16")
    config.write_text('{"n_layer": 2}')
    assert before != digest()
    assert fingerprint(f"{SMALL}:make", "auto", "cpu", request, plan(request)) is None
