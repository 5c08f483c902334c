"""Random networks, and how a sweep times them."""

from __future__ import annotations

import pytest
import torch
from helpers import chain, filled

from opclock.board.identity import read_board
from opclock.errors import OpCallError
from opclock.profiles.profile import Profile
from opclock.sweeps import network_times
from opclock.sweeps.network_times import Networks
from opclock.sweeps.parts import Part
from opclock.sweeps.random_networks import random_network
from opclock.timing.threads import thread_team
from opclock.tracing.recorder import trace


@pytest.fixture
def profile(tmp_path):
    with Profile.create_or_open(tmp_path / "board.sqlite", read_board()) as opened, thread_team(1):
        yield opened


def networks(profile, count, part=None, progress=lambda _text, _share: None):
    return Networks(count, profile, 1, 0, part, progress)


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
        for number in range(24):
            network = random_network(number)
            assert torch.isfinite(network.module(network.inputs)).all(), number
            operators |= {one.call.name for one in trace(network.module, network.inputs).calls}
    wanted = ("conv2d batch_norm linear layer_norm cat scaled_dot_product_attention softmax add_ max_pool2d avg_pool2d "
              "adaptive_avg_pool2d roll chunk mean embedding")  # fmt: skip
    assert set(wanted.split()) <= operators


def test_networks_are_timed_between_the_kernels_and_once(profile):
    said = []
    drawn = networks(profile, 4, progress=lambda text, share: said.append((text, share)))
    drawn.until(0.5)
    assert said == [("network 1 of 4 networks", 0.5), ("network 2 of 4 networks", 0.5)]
    drawn.until(1.0)
    assert drawn.timed == len(said) == 4
    pools = [profile.pool(number) for number in profile.pools(["in_network"], "cpu", 1)]
    assert {pool.context["model"]["name"] for pool in pools} == {f"network {number}" for number in range(4)}
    assert all(pool.host_s is not None and pool.rounds >= 12 for pool in pools)
    assert not profile.model_pools()  # they are no models of the user
    # Those that other programs disturbed are timed again, and no others.
    assert len(networks(profile, 4)._left) == sum("contended" in pool.flags for pool in pools)


def test_the_parts_of_a_split_sweep_share_networks_out(profile):
    drawn = [networks(profile, 7, Part(number, 3)) for number in range(3)]
    assert [one._left for one in drawn] == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_network_that_does_not_run_here_is_left_out_with_its_reason(profile, monkeypatch):
    def refuse(*_, **__):
        raise OpCallError("no memory")

    monkeypatch.setattr(network_times, "trace_model", refuse)
    drawn = networks(profile, 2)
    drawn.until(1.0)
    assert (drawn.timed, drawn.skipped) == (0, {"no memory": 2})


def test_interrupted_networks_are_not_finished(tmp_path):
    """Their pools go on."""
    path = tmp_path / "board.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3}, timing="in_network", context={"model": {"name": "network 0"}})
    with Profile.edit(path) as profile:
        assert profile.finished_networks("cpu", 2) == {"network 0"}
        assert profile.finished_networks("cpu", 1) == set()
        profile.ask("UPDATE pool SET ended = ''")
        assert profile.finished_networks("cpu", 2) == set()
