from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import spec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from opclock.models.zoo import ZOO
from opclock.tracing.mac_counters import COUNTERS
from opclock.tracing.macs import macs, macs_thop, model_macs, needed_macs, uncounted
from opclock.tracing.op_call import OpCall
from opclock.tracing.operator_classes import MAC_CLASSES, class_of
from opclock.tracing.products import broadcast, chain, convolution, einsum, matmul
from opclock.tracing.recorder import trace
from opclock.tracing.trace import TracedCall


def counted_by_torch(model, *inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ZOO)
def test_zoo_as_torch_counts(name):
    model, image = ZOO[name]().eval(), torch.randn(2, 3, 32, 32)
    assert model_macs(trace(model, (image,))) == counted_by_torch(model, image)


@settings(max_examples=40)
@given(
    groups=st.sampled_from([1, 2, 4]), out=st.sampled_from([4, 8]), kernel=st.integers(1, 3), stride=st.integers(1, 2),
    dilation=st.integers(1, 2), batch=st.integers(1, 3), transposed=st.booleans(),
)  # fmt: skip
def test_convolutions_as_torch_counts(groups, out, kernel, stride, dilation, batch, transposed):
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    model = kind(8, out, kernel, stride=stride, dilation=dilation, groups=groups).eval()
    image = torch.randn(batch, 8, 9, 7)
    assert model_macs(trace(model, (image,))) == counted_by_torch(model, image)


@settings(max_examples=60)
@given(
    groups=st.sampled_from([1, 2, 4]), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), stride=st.integers(1, 3),
    dilation=st.integers(1, 3), padding=st.tuples(st.integers(0, 7), st.integers(0, 7)), sides=st.tuples(
        st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
def test_needed_are_those_that_meet_the_image(groups, kernel, stride, dilation, padding, sides):
    image = torch.ones(2, 4, *sides)
    model = torch.nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias=False).eval()
    torch.nn.init.ones_(model.weight)
    assume(all(side + 2 * around > dilation * (taps - 1)
               for side, around, taps in zip(sides, padding, kernel, strict=True)))  # fmt: skip
    traced = trace(model, (image,)).calls[0]
    with torch.inference_mode():
        assert needed_macs(traced) == int(model(image).sum())  # a one for every tap on the image
    assert needed_macs(traced) <= macs(traced)


class Products(torch.nn.Module):
    def forward(self, left, right, batch):
        row = left @ right + torch.mm(left, right) + torch.addmm(right[0], left, right)
        out = torch.bmm(batch, batch.transpose(1, 2)) + torch.matmul(batch, batch.mT)
        return row.sum() + out.sum()


def test_products_as_torch_counts():
    inputs = (torch.randn(3, 4), torch.randn(4, 5), torch.randn(2, 6, 7))
    assert model_macs(trace(Products(), inputs)) == counted_by_torch(Products(), *inputs)


def test_attention_as_torch_counts():
    model = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    x = torch.randn(2, 5, 16)
    # Outside inference mode torch takes the same layer apart into products it can count.
    assert model_macs(trace(model, (x, x, x))) == 2 * 5 * 16 * 16 * 4 + 2 * 5 * 5 * 16 * 2
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    assert model_macs(trace(layer, (x,))) == 2 * 5 * (16 * 16 * 4 + 16 * 32 * 2) + 2 * 5 * 5 * 16 * 2


def test_lstm():
    model, x = torch.nn.LSTM(3, 5, batch_first=True).eval(), torch.randn(2, 7, 3)
    assert model_macs(trace(model, (x,))) == 2 * 7 * 4 * 5 * (3 + 5)


def test_by_hand():
    assert convolution((8, 2, 3, 3), (2, 8, 5, 5)) == 2 * 8 * 25 * 2 * 9
    assert matmul((4,), (4, 5)) == 20
    assert matmul((7, 1, 2, 3), (6, 3, 4)) == 7 * 6 * 2 * 3 * 4
    assert einsum("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]) == 2 * 3 * 4 * 5
    assert einsum("...ij,jk", [(7, 3, 4), (4, 5)]) == 7 * 3 * 4 * 5
    assert broadcast((3, 1), (5,)) == (3, 5)


def test_thop_counts_norm_and_no_functions():
    image = spec(1, 4, 8, 8)
    norm = OpCall("aten::batch_norm", "", (image, spec(4), spec(4), spec(4), spec(4), False, 0.1, 1e-5, True))
    assert macs_thop(TracedCall(norm, (image,), (0, 1, 2, 3, 4), (5,), "bn", "BatchNorm2d")) == 4 * 256
    cat = OpCall("aten::cat", "", ((image, image), 1))
    assert macs_thop(TracedCall(cat, (spec(1, 8, 8, 8),), (0, 0), (1,), "", "Block")) == 0


class Function(torch.nn.Module):
    """A module that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def counted(function, *inputs):
    return model_macs(trace(Function(function), inputs))


r = torch.randn

# Values that torch's counter does not know, or counts otherwise: by hand.
BY_HAND = {
    "lstm_cell": (torch.nn.LSTMCell(3, 5), (r(2, 3),), 2 * 4 * 5 * (3 + 5)),  # batch x gates x (input + state)
    "gru_cell": (torch.nn.GRUCell(3, 5), (r(2, 3),), 2 * 3 * 5 * (3 + 5)),
    "rnn_cell": (torch.nn.RNNCell(3, 5), (r(2, 3),), 2 * 5 * (3 + 5)),
    "rnn_relu_cell": (torch.nn.RNNCell(3, 5, nonlinearity="relu"), (r(2, 3),), 2 * 5 * (3 + 5)),
    # steps x batch x directions x gates x (input + state); two layers, the second reads both directions
    "gru_layers": (torch.nn.GRU(3, 5, 2, bidirectional=True), (r(7, 2, 3),), 7 * 2 * 2 * 15 * (3 + 5 + 10 + 5)),
    "rnn": (torch.nn.RNN(3, 5), (r(7, 2, 3),), 7 * 2 * 5 * (3 + 5)),
    # gates x (input + projected state) + projection
    "lstm_projected": (torch.nn.LSTM(3, 5, proj_size=2), (r(7, 2, 3),), 7 * 2 * (20 * (3 + 2) + 2 * 5)),
    "bilinear": (torch.nn.Bilinear(4, 5, 6), (r(3, 4), r(3, 5)), 3 * 6 * 4 * 5),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=2), (r(2, 3, 4), r(3, 4, 5)), 2 * 5 * 3 * 4),
    "tensordot_dims": (lambda a, b: torch.tensordot(a, b, ([0], [1])), (r(2, 3), r(4, 2)), 3 * 4 * 2),
    "addmm_": (lambda a, b: torch.zeros(2, 4).addmm_(a, b), (r(2, 3), r(3, 4)), 2 * 3 * 4),
    "addbmm": (lambda a, b: torch.addbmm(torch.zeros(2, 4), a, b), (r(5, 2, 3), r(5, 3, 4)), 5 * 2 * 3 * 4),
    "addmv": (lambda a, b: torch.addmv(torch.zeros(2), a, b), (r(2, 3), r(3)), 2 * 3),
    "multi_dot": (lambda *a: torch.linalg.multi_dot(a), (r(2, 30), r(30, 4), r(4, 50)), 2 * 30 * 4 + 2 * 4 * 50),
    "multi_dot_vectors": (lambda *a: torch.linalg.multi_dot(a), (r(30), r(30, 4), r(4)), 30 * 4 + 4),
    "cdist": (torch.cdist, (r(2, 3, 5), r(2, 4, 5)), 2 * 3 * 4 * 5),
    "outer": (torch.outer, (r(3), r(4)), 3 * 4),
    "inner": (torch.inner, (r(2, 3), r(4, 3)), 2 * 4 * 3),
    "inner_of_vectors": (torch.inner, (r(3), r(3)), 3),
    "dot": (torch.dot, (r(3), r(3)), 3),
    "vecdot": (torch.linalg.vecdot, (r(2, 3), r(2, 3)), 2 * 3),
    "kron": (torch.kron, (r(2, 3), r(4, 5)), 2 * 3 * 4 * 5),
    "einsum_ellipsis": (lambda a, b: torch.einsum("b...d,de->b...e", a, b), (r(2, 8, 3), r(3, 4)), 2 * 8 * 3 * 4),
    "einsum_diagonal": (lambda a, b: torch.einsum("ii,ij->j", a, b), (r(3, 3), r(3, 4)), 3 * 4),
    "bags": (torch.nn.EmbeddingBag(10, 4), (torch.tensor([[1, 2, 3]]),), 0),  # only added
    "weighted_bags": (
        lambda ids, table, weights: torch.nn.functional.embedding_bag(
            ids, table, per_sample_weights=weights, mode="sum"
        ),
        (torch.tensor([[1, 2, 3]]), r(10, 4), r(1, 3)), 3 * 4,
    ),
    "int8": (torch._int_mm, (torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 8, dtype=torch.int8)), 32 * 16 * 8),
    "conv_same": (torch.nn.Conv1d(4, 6, 3, padding="same", groups=2), (r(2, 4, 9),), 2 * 6 * 9 * 2 * 3),
    "conv_tbc": (lambda x, w: torch.conv_tbc(x, w, torch.zeros(5), 0), (r(9, 2, 4), r(3, 4, 5)), 7 * 2 * 5 * 3 * 4),
    "transposed": (torch.nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (r(2, 4, 9),), 2 * 4 * 9 * 3 * 3),
    "grouped": (  # 16 rows in two groups, each with a matrix of its own
        lambda x, w, ends: torch._grouped_mm(x, w, offs=ends),
        (r(16, 32).bfloat16(), r(2, 32, 8).bfloat16(), torch.tensor([6, 16], dtype=torch.int32)), 16 * 32 * 8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_products_by_hand(name):
    function, inputs, expected = BY_HAND[name]
    assert counted(function, *inputs) == expected


def test_attention_with_shared_keys_as_torch_counts():
    query, key = r(2, 8, 5, 16), r(2, 2, 7, 16)
    expected = 2 * 8 * 5 * 7 * (16 + 16)
    assert counted(lambda q, k: torch.nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True), query,
                   key) == expected  # fmt: skip


@pytest.mark.parametrize("name", [
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math",
])  # fmt: skip
def test_attention_kernels(name):
    operator = getattr(torch.ops.aten, name)
    assert counted(lambda q, k: operator(q, k, k), r(2, 4, 5, 16), r(2, 4, 7, 16)) == 2 * 4 * 5 * 7 * 32


def test_packed_sequence_counts_its_rows_only():
    packed = torch.nn.utils.rnn.pack_padded_sequence(r(7, 2, 3), [7, 4])
    model = torch.nn.LSTM(3, 5)
    assert counted(lambda: model(packed)) == (7 + 4) * 20 * (3 + 5)


def test_einsum_of_three_operands_has_a_path():
    shapes = [(32, 32), (32, 32), (32, 32)]
    assert einsum("ij,jk,kl->il", shapes) == 2 * 32**3
    assert counted(lambda a: torch.einsum("ij,jk,kl->il", a, a, a), r(32, 32)) == 2 * 32**3
    assert einsum("ij,jk,kl->il", [(2, 50), (50, 50), (50, 3)], (1, 2, 0, 1)) == 50 * 50 * 3 + 2 * 50 * 3
    assert einsum("ij,jk,k->i", [(2, 3), (3, 4), (4,)]) == 2 * 3 * 4 + 2 * 4


def test_chain_takes_the_cheapest_order():
    # (A1 ((A2 A3) ...)): the example of Cormen et al., section 15.2
    assert chain([(30, 35), (35, 15), (15, 5), (5, 10), (10, 20), (20, 25)]) == 15125


@settings(max_examples=40, deadline=None)
@given(
    equation=st.sampled_from([
        "ab,bc->ac", "ab,bc", "abc,ce->abe", "abc,abe->ace", "ab...,bc->ac...", "a...b,...bc->a...c", "abc,cd,de->abe",
        "...a,ab->...b", "ab,ab,bc->ac", "ba,bc->ac",
    ]),
    sizes=st.lists(st.integers(2, 5), min_size=7, max_size=7),
)  # fmt: skip
def test_einsum_as_torch_counts(equation, sizes):
    size_of = dict(zip("abcde", sizes, strict=False))
    shapes = [
        tuple(
            size for letter in term.replace("...", ".") for size in (sizes[5:] if letter == "." else [size_of[letter]])
        )
        for term in equation.partition("->")[0].split(",")
    ]
    model = Function(lambda *operands: torch.einsum(equation, *operands))
    inputs = [r(shape) for shape in shapes]
    ours, theirs = model_macs(trace(model, tuple(inputs))), counted_by_torch(model, *inputs)
    assert ours >= theirs  # torch counts only matrix products, not an index that all operands keep
    assert ours <= theirs or equation == "ab,ab,bc->ac"


def test_every_counted_operator_is_in_a_class_that_multiplies():
    without = {"embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"}
    for name in COUNTERS.keys() - without:
        assert class_of(OpCall(f"aten::{name}", "", ())) in MAC_CLASSES, name
    assert class_of(OpCall("aten::lstm_cell", "", ())) == "recurrent"


def test_an_operator_that_multiplies_and_is_not_known_is_named():
    found = uncounted(trace(Function(lambda x: torch.linalg.inv(x) @ torch.fft.fft(x).real), (r(4, 4),)))
    assert set(found) == {"aten::linalg_inv", "aten::fft_fft"}


def test_custom_operator_with_numbers_is_named():
    own = OpCall("mine::mlp", "", (spec(2, 4), spec(4, 8)))
    other = OpCall("torchvision::nms", "", (spec(2, 4), spec(2), 0.5))
    upsampled = OpCall("aten::upsample_bilinear2d", "", (spec(1, 1, 2, 2), (4, 4), False))
    calls = tuple(TracedCall(call, (spec(2, 8),), (0, 1), (2,)) for call in (own, other, upsampled))
    assert uncounted(replace(trace(Function(torch.relu), (r(2),)), calls=calls)) == {"mine::mlp": 1}
