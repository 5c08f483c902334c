"""Families and grids, without timing anything."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from opclock.errors import SweepError
from opclock.sweeps import FAMILIES
from opclock.sweeps.binding import as_trace, plan, plan_all
from opclock.sweeps.configuration import configuration, grid, parse
from opclock.sweeps.families import IllegalError, family, weight
from opclock.sweeps.presets import preset
from opclock.sweeps.random_kernels import BOARD
from opclock.sweeps.random_narrow_kernels import NARROW
from opclock.tracing.macs import macs
from opclock.tracing.op_call import tensors
from opclock.tracing.operator_classes import class_of
from opclock.tracing.recorder import trace


def one(family, **parameters):
    (found,), _ = grid(family, parameters)
    return plan(found)


class Cached(nn.Module):
    """Attention of one token to keys and values of a cache."""

    def __init__(self, heads, keys, *, masked=False):
        super().__init__()
        for name in ("keys", "values"):
            self.register_buffer(name, torch.randn(1, heads, keys, 16))
        self.mask = torch.ones(1, 1, 1, keys, dtype=torch.bool) if masked else None

    def forward(self, query):
        grouped = {"enable_gqa": True} if query.shape[1] != self.keys.shape[1] else {}
        return nn.functional.scaled_dot_product_attention(
            query, self.keys, self.values, self.mask, scale=0.25, **grouped
        )


class Int8Weights(nn.Module):
    """A layer with int8 weights and a scale for each column."""

    def __init__(self, inner, outer):
        super().__init__()
        self.register_buffer("weights", torch.ones(outer, inner, dtype=torch.int8))
        self.scales = nn.Parameter(torch.ones(outer))

    def forward(self, rows):
        return torch.ops.aten._weight_int8pack_mm(rows, self.weights, self.scales)


class Experts(nn.Module):
    """Products of tokens, sorted by expert, with the experts' weights."""

    def __init__(self, experts, inner, outer):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(experts, outer, inner))
        self.register_buffer("ends", torch.arange(1, experts + 1, dtype=torch.int32))

    def forward(self, tokens):
        return torch.ops.aten._grouped_mm(tokens, self.weights.transpose(-2, -1), offs=self.ends)


@pytest.mark.parametrize(("module", "shape", "family", "parameters"), [
    (nn.Conv2d(16, 32, 3, padding=1, bias=False), (1, 16, 14, 14), "conv2d",
     {"in_channels": 16, "out_channels": 32, "size": 14}),
    (nn.Conv2d(16, 32, 1), (2, 16, 7, 7), "conv2d",
     {"in_channels": 16, "out_channels": 32, "size": 7, "kernel": 1, "bias": True, "batch": 2}),
    (nn.Conv2d(16, 16, 5, 2, 2, groups=16, bias=False), (1, 16, 9, 9), "conv2d",
     {"in_channels": 16, "out_channels": 16, "size": 9, "kernel": 5, "stride": 2, "groups": "depthwise"}),
    (nn.Conv2d(8, 8, (1, 7), padding=(0, 3), bias=False), (1, 8, 17, 17), "conv2d",
     {"in_channels": 8, "out_channels": 8, "size": 17, "kernel": (1, 7)}),
    (nn.Linear(64, 10), (4, 64), "gemm", {"m": 4, "n": 10, "k": 64}),
    (nn.BatchNorm2d(8), (1, 8, 5, 5), "norm", {"channels": 8, "size": 5}),
    (nn.LayerNorm(32), (1, 7, 32), "norm", {"channels": 32, "size": 7, "operator": "layer_norm"}),
    (nn.ReLU(), (1, 8, 5, 5), "elementwise", {"channels": 8, "size": 5, "operator": "relu"}),
    (nn.ReLU(inplace=True), (1, 8, 5, 5), "elementwise",
     {"channels": 8, "size": 5, "operator": "relu", "layout": "in_place"}),
    (nn.MaxPool2d(3, 2, 1), (1, 8, 9, 9), "pool",
     {"channels": 8, "size": 9, "kernel": 3, "stride": 2, "padding": 1}),
    (nn.ConvTranspose2d(8, 4, 2, 2), (1, 8, 6, 6), "conv_transpose2d",
     {"in_channels": 8, "out_channels": 4, "size": 6}),
    (Cached(4, 9), (1, 4, 1, 16), "decode_attention", {"heads": 4, "keys": 9, "width": 16}),
    (Cached(2, 9), (1, 4, 1, 16), "decode_attention", {"heads": 4, "kv_heads": 2, "keys": 9, "width": 16}),
    (Cached(4, 9, masked=True), (1, 4, 1, 16), "decode_attention",
     {"heads": 4, "keys": 9, "width": 16, "masked": True}),
    (Int8Weights(64, 32), (2, 64), "int8_gemm", {"m": 2, "n": 32, "k": 64}),
    (Experts(4, 32, 16), (4, 32), "grouped_gemm", {"tokens": 4, "n": 16, "k": 32, "experts": 4}),
])  # fmt: skip
def test_a_family_makes_the_very_op_call_a_model_makes(module, shape, family, parameters):
    traced = trace(module.eval(), (torch.randn(shape),))
    planned = one(family, **parameters)
    made = next(call for call in traced.calls if class_of(call.call) != "view")
    assert planned.call.key == made.call.key
    assert list(planned.outputs) == list(tensors(made.outputs))
    assert macs(planned.traced) == macs(made)


def test_bfloat16_with_int8_weights_has_inner_sizes_that_pytorch_can_multiply(board):
    with pytest.raises(SweepError, match="k is no multiple of 16"):
        one("int8_gemm", m=8, n=32, k=40, dtype="bfloat16")
    assert one("int8_gemm", m=8, n=32, k=40).call.key
    drawn = [kernel.call for kernel in board if kernel.call.name == "_weight_int8pack_mm"]
    assert all(call.args[0].shape[-1] % 16 == 0 for call in drawn if call.args[0].dtype == "bfloat16")


@pytest.fixture(scope="module")
def board():
    return preset("board")[0]


def test_every_family_names_its_operators_class_and_has_a_summary(board):
    by_family = {made.configuration.family: made for made in board}
    assert set(by_family) == set(FAMILIES)
    for name, planned in by_family.items():
        assert class_of(planned.call) != "other", name
        assert len(FAMILIES[name].summary) > 10, name


def test_combinations_that_cannot_be_are_counted_by_reason():
    found, skipped = grid("conv2d", {"in_channels": [6, 8], "out_channels": 8, "size": 5, "groups": [1, 4]})
    assert len(found) == 3
    assert skipped == {"6 in_channels in 4 groups": 1}
    planned, refused = plan_all(grid("conv2d", {"in_channels": 8, "out_channels": 8, "size": [2, 9], "kernel": 5,
                                                "padding": 0})[0])  # fmt: skip
    assert len(planned) == 1
    assert "Kernel size can't be greater than actual input size" in next(iter(refused))


def test_the_same_op_call_twice_counts_once():
    found, _ = grid("conv2d", {"in_channels": 8, "out_channels": 8, "size": 5, "groups": [8, "depthwise"]})
    assert len(found) == 1


@pytest.mark.parametrize(("family", "parameters", "words"), [
    ("convolve", {}, "there are: attention"),
    ("conv2d", {"in_channels": 8, "colour": 1}, "no parameter 'colour'"),
    ("conv2d", {"in_channels": 8}, "needs out_channels, size"),
    ("conv2d", {"in_channels": 3, "out_channels": 4, "size": 8, "groups": 2}, "3 in_channels in 2 groups"),
    ("gemm", {"m": 1, "n": 2, "k": "x"}, "--k x: give whole numbers"),
    ("elementwise", {"channels": 8, "operator": "fold"}, "operator 'fold'"),
    ("copy", {"rows": 8, "columns": 8, "pinned": True}, "pinned memory is the host's"),
    ("norm", {"channels": []}, "no value"),
])  # fmt: skip
def test_nothing_left_says_why(family, parameters, words):
    with pytest.raises(SweepError, match=words):
        grid(family, parameters)


@given(st.lists(st.integers(0, 999), min_size=1))
def test_numbers_are_parsed_back(numbers):
    assert parse(",".join(map(str, numbers)), 1) == numbers


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 9))
def test_a_range_includes_its_end(start, length, step):
    assert parse(f"{start}:{start + length * step}:{step}", 1) == list(range(start, start + length * step + 1, step))


def test_other_values():
    assert parse("1x7,3,depthwise", 1) == [(1, 7), 3, "depthwise"]
    assert parse("true,no", False) == [True, False]
    for text, default in (("1:x:2", 1), ("perhaps", False), ("1:9:0", 1)):
        with pytest.raises(SweepError, match=text.split(",")[0]):
            parse(text, default)


def test_parameters_are_weights_and_activations_are_not():
    planned = one("conv2d", in_channels=8, out_channels=8, size=5, bias=True)
    traced = as_trace([planned, planned])
    assert [storage.kind for storage in traced.storages] == ["activation", "weight", "weight", "activation"] * 2
    assert traced.calls[1].reads == (4, 5, 6)
    assert weight(4, dtype="int8").requires_grad is False


def test_presets(board):
    keys = [made.call.key for made in board]
    assert len(keys) == len(set(keys)) == sum(count for count, _ in (BOARD | NARROW).values()) == 1265
    # The same ones on every board, whatever its Python: the digest of their keys is known.
    assert hashlib.sha256("".join(keys[:1000]).encode()).hexdigest()[:8] == "e2ae3d5f"
    named = {"conv2d", "gemm", "elementwise", "concat", "copy", "pool", "resize"}
    assert {made.configuration.family for made in preset("quick")[0]} >= named
    with pytest.raises(SweepError, match="quick, board"):
        preset("whole")


def test_the_preset_has_products_of_few_rows_in_each_dtype(board):
    products = [made.call.tensors() for made in board if class_of(made.call) == "gemm"]
    few = {(specs[0].dtype, specs[1].dtype) for specs in products if specs[0].numel <= 8 * specs[0].shape[-1]}
    assert few >= {("float32", "float32"), ("bfloat16", "bfloat16"), ("float32", "int8"), ("bfloat16", "int8"),
                   ("int8", "int8")}  # fmt: skip


def test_weights_that_are_no_parameters_are_displaced_from_the_caches_as_others_are():
    assert one("int8_gemm", m=1, n=256, k=512).weight_bytes == 256 * 512 + 256 * 4
    assert one("grouped_gemm", tokens=2, n=8, k=32, experts=4).weight_bytes == 4 * (4 * 8 * 32) + 4 * 4


def test_a_parameter_of_the_wrong_type_is_illegal():
    with pytest.raises(IllegalError, match="give whole numbers"):
        configuration(FAMILIES["pad"], {"channels": "many", "size": 4})


def test_a_text_is_no_family():
    with pytest.raises(SweepError, match="'gemm' is no function"):
        family("gemm")
