"""Random networks, and how a sweep times them."""

from __future__ import annotations

import shutil
import sys

import pytest
import torch
from helpers import chain, filled
from torch import nn

from opclock.board.identity import read_board
from opclock.errors import OpCallError
from opclock.prediction.ceilings import Ceilings
from opclock.profiles.profile import Profile
from opclock.sweeps import network_times
from opclock.sweeps.decoder_blocks import Decoder, Form
from opclock.sweeps.network_server import MAX_MACS, most_macs
from opclock.sweeps.network_times import Networks
from opclock.sweeps.parts import Part
from opclock.sweeps.random_networks import random_network
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.threads import thread_team
from opclock.tracing.recorder import trace


@pytest.fixture
def profile(tmp_path, quick_ceilings):
    with Profile.create_or_open(tmp_path / "board.sqlite", read_board()) as opened, thread_team(1):
        measure_ceilings(opened, 1)
        yield opened


def networks(profile, count, part=None):
    return Networks(count, profile, 1, 0, part)


def test_each_number_is_a_network_of_its_own_and_the_same_everywhere():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, again, other = random_network(7), random_network(7), random_network(8)
    assert torch.equal(torch.rand(3), expected)  # the user's generator
    assert str(first.module) == str(again.module) != str(other.module)
    assert torch.equal(first.inputs, again.inputs)
    assert all(torch.equal(*pair) for pair in zip(first.module.parameters(), again.module.parameters(), strict=True))


def test_networks_run_and_hold_all_that_models_are_made_of():
    operators = set()
    with torch.inference_mode():
        for number in range(48):
            network = random_network(number)
            assert number >= 24 or torch.isfinite(network.module(network.inputs)).all(), number
            operators |= {one.call.name for one in trace(network.module, network.inputs, real=number < 24).calls}
    wanted = ("conv2d batch_norm linear layer_norm cat scaled_dot_product_attention softmax add_ max_pool2d avg_pool2d "
              "adaptive_avg_pool2d roll chunk mean embedding")  # fmt: skip
    assert set(wanted.split()) <= operators


@pytest.mark.parametrize("form", [
    Form(64, 4, 2, 96),
    Form(64, 4, 2, 96, expanded=False, gated=False, together=True, bias=True),
    Form(64, 4, 1, 96, fused=False, parallel=True, norm=nn.LayerNorm),
    Form(64, 4, 4, 96, fused=False),
])  # fmt: skip
@pytest.mark.parametrize("before", [0, 5])
def test_a_token_sees_those_before_it_and_none_after(form, before):
    """So the answer to some words does not depend on the words that follow."""
    torch.manual_seed(2)
    model = Decoder(50, form, 2, before).eval()
    words = torch.randint(0, 50, (1, 7))
    asked, seen = [], []
    model.last.register_forward_hook(lambda _module, given, _answer: asked.append(given[0]))
    model.layers[-1].register_forward_hook(lambda _module, _given, answer: seen.append(answer))
    with torch.inference_mode():
        likely = model(words)
        model(torch.cat((words[:, :4], torch.randint(0, 50, (1, 3))), dim=1))
    assert likely.shape == (1, 1)
    assert asked[0].shape == (1, 1, 64)  # of the last word
    torch.testing.assert_close(seen[0][:, :4], seen[1][:, :4])
    assert not torch.allclose(seen[0][:, 4:], seen[1][:, 4:])


def test_language_models_range_from_what_caches_hold_to_what_only_memory_does():
    decoders = [one.module for number in range(128) if isinstance((one := random_network(number)).module, Decoder)]
    sizes = [sum(one.nbytes for one in module.parameters()) for module in decoders]
    assert min(sizes) < 1 << 24
    assert sum(size > 1 << 27 for size in sizes) >= 3
    assert max(sizes) < 1 << 29  # with as many again for the pool, a board of 2 GB has them


def test_networks_in_a_dtype_that_the_board_multiplies_slowly_are_smaller():
    rates = {"float32": 4e9, "bfloat16": 1e9, "float16": 8e9}
    board = Ceilings(1, rates, {}, {})
    assert [most_macs(dtype, board) / MAX_MACS for dtype in rates] == [1.0, 0.25, 1.0]


def test_networks_are_timed_between_the_kernels_and_once(profile):
    tried = []
    with networks(profile, 4) as drawn:
        drawn.until(0.5, lambda: tried.append(drawn.tried))
        assert tried == [0, 1]
        drawn.until(1.0, lambda: tried.append(drawn.tried))
    assert tried == [0, 1, 2, 3]
    assert drawn.timed == drawn.tried == drawn.count == 4
    pools = [profile.pool(number) for number in profile.pools(["in_network"], "cpu", 1)]
    assert {pool.context["model"]["name"] for pool in pools} == {f"network {number}" for number in range(4)}
    assert all(pool.host_s is not None and pool.rounds >= 12 for pool in pools)
    assert not profile.model_pools()  # they are no models of the user
    # Those that other programs disturbed are timed again, and no others.
    assert len(networks(profile, 4)._left) == sum("contended" in pool.flags for pool in pools)


def test_the_parts_of_a_split_sweep_share_networks_out(profile):
    drawn = [networks(profile, 7, Part(number, 3)) for number in range(3)]
    assert [one._left for one in drawn] == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_process_times_some_networks_and_another_one_the_next(profile, monkeypatch):
    """In one that had timed many, convolutions took 9 % longer."""
    asked = []

    class Scripted:
        def __init__(self, *_):
            asked.append([])

        def request(self, _name, **details):
            asked[-1].append(details["number"])
            if details["number"] == 2:
                raise OpCallError("no memory")
            return {"timed": details["number"] != 1}

        def close(self):
            asked[-1].append("closed")

    monkeypatch.setattr(network_times, "NetworkProcess", Scripted)
    monkeypatch.setattr(network_times, "IN_PROCESS", 4)
    with networks(profile, 8) as drawn:
        drawn.until(1.0)
    assert asked == [[0, 1, 2, "closed"], [3, 4, 5, 6, "closed"], [7, "closed"]]  # one that failed may be gone
    assert (drawn.timed, drawn.skipped) == (6, {"no memory": 1})


def test_a_process_that_ends_by_itself_is_a_reason_and_the_next_network_has_another(profile, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with networks(profile, 2) as drawn:
        drawn.until(1.0)
    assert drawn.timed == 0
    assert drawn.skipped.total() == 2
    assert all("a random network" in reason for reason in drawn.skipped)


def test_interrupted_networks_are_not_finished(tmp_path):
    """Their pools go on."""
    path = tmp_path / "board.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3}, timing="in_network", context={"model": {"name": "network 0"}})
    with Profile.edit(path) as profile:
        assert profile.finished_networks("cpu", 2) == {"network 0"}
        assert profile.finished_networks("cpu", 1) == set()
        profile.ask("UPDATE pool SET ended = ''")
        assert profile.finished_networks("cpu", 2) == set()
