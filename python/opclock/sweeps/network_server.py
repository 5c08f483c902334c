"""A process that times some random networks into a sweep's profile: `python -m opclock.sweeps.network_server`.

In a process that has timed many networks, operators that take memory for their own use are slower: convolutions by 9 %,
normalisations by 8 %, products by 1 %. Networks are timed as in a process that runs one model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from opclock.board.identity import read_board
from opclock.children.serving import serve
from opclock.prediction.ceilings import Ceilings
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.sweeps.amount import FOR_NETWORKS
from opclock.sweeps.random_networks import random_network
from opclock.timing.host_playback import PlayedHost
from opclock.timing.inputs import Arguments
from opclock.timing.reference import forward_of
from opclock.timing.sampler import Sampler
from opclock.tracing.macs import model_macs
from opclock.tracing.recorder import trace

MAX_MACS = 1.5e9  # of an inference in float32: a small board takes a second for it


class Server:
    """Handles the requests."""

    def __init__(self) -> None:
        self._profile: Profile | None = None

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time a network. Returns whether that was done: those that are too large for a small board are left out."""
        if self._profile is None:
            torch.set_num_threads(request["threads"])
            self._profile = Profile.create_or_open(Path(request["profile"]), read_board())
        return {"timed": time_network(request["number"], self._profile, request["threads"], request["seed"])}


def time_network(number: int, profile: Profile, threads: int, seed: int) -> bool:
    """Time a random network in its own order, with its own host.

    Args:
        number: of the network.
        profile: stores every finished round.
        threads: PyTorch's threads, which are set already.
        seed: for the rounds.

    Returns:
        False where it is too large for a small board, and was not timed.

    Raises:
        OpCallError, TraceError: it does not run on this machine.
        EstimateError: the profile has no ceilings.
        ProfileError: the profile cannot be written.
    """
    network = random_network(number)
    traced = trace(network.module, network.inputs, name=network.name, real=False)
    if model_macs(traced) > most_macs(traced.dtype, Ceilings.read(profile, threads)):
        return False
    host = PlayedHost(traced, forward_of(network.module, network.inputs))
    condition = Condition.of("in_network", "cpu", threads, traced.working_set)
    arguments = Arguments(traced, host.forward)
    sampler = Sampler(traced, range(len(traced.calls)), arguments, profile, condition, host, seed=seed)
    sampler.warm_up()
    rounds = FOR_NETWORKS.in_block(sampler.usual_round_s())
    for _ in range(FOR_NETWORKS.blocks):
        sampler.block(rounds)
    sampler.end()
    return True


def most_macs(dtype: str, ceilings: Ceilings) -> float:
    """MACs of an inference, at most: in a dtype that the board multiplies slowly, as many as take as long."""
    return MAX_MACS * min(1.0, ceilings.peak(dtype) / ceilings.peak("float32"))


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    serve({"time": Server().time})


if __name__ == "__main__":
    main()
