"""Which dimension of a model's inputs is the batch, and what else a job's files say about its inputs."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from opclock.errors import ModelError, OptionError
from opclock.runtimes.batching import GUESSED, NONE, Batching, find_batch
from opclock.runtimes.identity import digest_of
from opclock.runtimes.nesting import array_of, flattened, tensors_in

FIRST = Batching((0,))


def found(module, *inputs, asked=None):
    tensors = tensors_in(inputs)
    with torch.inference_mode():
        return find_batch(flattened(module, inputs), tensors, asked)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4)

    def forward(self, x):
        return self.rnn(x)[0]


class Mixing(nn.Module):
    """Each item depends on the others."""

    def forward(self, x):
        return x + x.mean(0)


class Masked(Recurrent):
    def forward(self, x, mask, scale):
        y = super().forward(x) * mask["keep"].T[..., None] * scale
        return {"sum": y, "list": list(y.unbind(-1))}


class Whole(nn.Module):
    """Takes one size only."""

    def forward(self, x):
        return x.reshape(12) * 2


def test_the_batch_is_not_always_dimension_0():
    assert found(nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)) == FIRST
    assert found(Recurrent().eval(), torch.randn(50, 1, 4)) == Batching((1,))
    assert found(Masked().eval(), torch.randn(50, 1, 4), {"keep": torch.ones(1, 50)}, 2.0) == Batching((1, 0))


def test_a_batch_that_is_guessed_is_said():
    assert found(Mixing(), torch.randn(4)) == Batching((0,), GUESSED)
    assert found(nn.Dropout(0.5).train(), torch.randn(2, 4)).dims == (0,)


def test_inputs_without_a_batch_get_one_clear_line():
    batching = found(Whole(), torch.randn(3, 4))
    assert batching == Batching((None,), NONE)
    tensors = [torch.randn(3, 4)]
    assert batching.resized(tensors, 1, model="m")[0] is tensors[0]
    with pytest.raises(
        ModelError, match=r"no dimension of its inputs is a batch, so there is no batch 2.*batch_dim=NUMBER"
    ):
        batching.resized(tensors, 2, model="m")
    assert found(nn.Identity(), torch.tensor(1.0)) == Batching((None,), NONE)


def test_the_user_names_the_batch():
    assert found(Mixing(), torch.randn(4, 5), asked=1) == Batching((1,))
    with pytest.raises(OptionError, match=r"batch_dim=2: no input has this dimension.*4x5"):
        found(Mixing(), torch.randn(4, 5), asked=2)


def test_another_batch_keeps_the_other_dimensions_and_legal_indices():
    ids = torch.tensor([[5], [7], [9]])
    batching = Batching((1, None))
    grown = batching.resized([ids, torch.ones(2)], 4, model="m")
    assert grown[0].tolist() == [[5] * 4, [7] * 4, [9] * 4]
    assert grown[1].tolist() == [1.0, 1.0]
    assert Batching.from_json(batching.to_json()) == batching


@dataclass
class Answer:
    scores: torch.Tensor
    names: tuple[str, ...] = ()


class Nested(nn.Module):
    def forward(self, x):
        return OrderedDict(a=list(x.split(1)), b={"c": Answer(x)}, d=3)


def test_nested_outputs_are_all_compared():
    x = torch.arange(3.0)
    assert [tuple(tensor.shape) for tensor in flattened(Nested(), (x,))(x)] == [(1,), (1,), (1,), (3,)]


def test_an_output_of_an_unknown_kind_is_not_left_out_silently():
    with pytest.raises(TypeError, match="a object among inputs or outputs"):
        tensors_in([torch.ones(1), object()])


def test_answers_keep_integers_exactly():
    assert array_of(torch.tensor([16777217])).tolist() == [16777217]
    assert array_of(torch.tensor([1.5], dtype=torch.bfloat16)).dtype == "float32"


ROW = (torch.ones(1, 4),)


def digest(module, inputs=ROW, batching=FIRST):
    return digest_of(module, inputs, batching)


def test_the_digest_changes_with_all_that_a_converter_sees(tmp_path, monkeypatch):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.ELU(1.0))
    module.register_buffer("hidden", torch.zeros(1), persistent=False)
    before = digest(module)
    assert digest(module, (torch.ones(8, 4),)) == before  # another batch
    assert digest(module, (torch.ones(1, 5),)) != before
    assert digest(module, (torch.ones(1, 4), 2.0)) != digest(module, (torch.ones(1, 4), 3.0)) != before
    assert digest(module, batching=Batching((1,))) != before
    changes = [
        lambda: setattr(module[1], "alpha", 2.0),
        lambda: module.hidden.add_(1.0),
        lambda: module[0].weight.data.add_(1.0),
    ]
    for change in changes:
        change()
        assert digest(module) != before
        before = digest(module)


def test_the_digest_changes_with_the_users_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "helper_of_the_model.py"
    helper.write_text("FACTOR = 1\n")
    __import__("helper_of_the_model")
    before = digest(nn.Identity())
    helper.write_text("FACTOR = 2\n")
    assert digest(nn.Identity()) != before
