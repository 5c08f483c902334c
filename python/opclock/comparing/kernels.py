"""One side of a comparison: times op calls in interleaved rounds, block by block, into a new profile."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from opclock.board.accelerator import checked_device
from opclock.board.cores import check_threads
from opclock.board.identity import read_board
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.sweeps.amount import FOR_ROWS
from opclock.sweeps.binding import Planned, as_trace, plan, run_once
from opclock.sweeps.configuration import Configuration
from opclock.sweeps.families import IllegalError
from opclock.sweeps.grouping import POOL_BYTES, grouped, touched_bytes, windows
from opclock.sweeps.run import MOST
from opclock.timing.inputs import Arguments
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.timing.sampler import Sampler
from opclock.tracing.op_call import OpCall

SIDES = 2  # share the memory


class Kernels:
    """The op calls of one environment. Only one group of pools is bound at a time."""

    def __init__(self, profile: str, *, blocks: int, seed: int) -> None:
        """Make a new profile.

        Args:
            profile: its file.
            blocks: how many blocks of rounds each op call gets.
            seed: for every random order. Both sides have the same.

        Raises:
            ProfileError: the file cannot be written.
            ExtensionError: opclock lacks its compiled parts.
        """
        self._blocks, self._seed = blocks, seed
        self.board = read_board()
        self._profile = Profile.create_or_open(profile, self.board)
        self._device, self._threads = "cpu", 1
        self._planned: dict[str, Planned] = {}
        self._bound: list[tuple[Sampler, int]] = []  # with the rounds in a block

    def plan(self, device: str, threads: int, calls: Iterable[dict[str, Any]]) -> dict[str, str]:
        """Make op calls ready to be bound on a device with this number of threads.

        Args:
            device: where they run.
            threads: PyTorch's threads from now on.
            calls: of each the ``key``, and of those from a sweep the ``family`` and the ``parameters`` as JSON.

        Returns:
            By key: why PyTorch refuses an op call.

        Raises:
            OptionError: this machine lacks the device, or has fewer cores.
        """
        check_threads(threads)
        torch.set_num_threads(threads)
        self._device, self._threads = (device if device == "cpu" else checked_device(device)), threads
        self._planned = {}
        refused: dict[str, str] = {}
        for call in calls:
            try:
                self._planned[call["key"]] = _planned(**call)
            except IllegalError as error:
                refused[call["key"]] = str(error)
        return refused

    def group(self, keys: Iterable[str]) -> list[list[list[str]]]:
        """Divide op calls into pools, and these into groups that fit into half of the memory: keys by pool."""
        budget = memory_budget_bytes(self._device) // SIDES
        pools = grouped([self._planned[key] for key in keys], (POOL_BYTES,), random.Random(self._seed), budget)
        return [[[one.call.key for one in pool] for pool in group] for group in windows(pools, budget)]

    def attempt(self, pools: Iterable[Sequence[str]]) -> dict[str, str]:
        """Run each op call of these pools once. Returns by key why one does not run on real data."""
        refused: dict[str, str] = {}
        for keys in pools:
            trace = as_trace([self._planned[key] for key in keys])
            arguments = Arguments(trace, one_block=True)
            for key, traced in zip(keys, trace.calls, strict=True):
                try:
                    run_once(traced, arguments)
                except IllegalError as error:
                    refused[key] = str(error)
        return refused

    def bind(self, pools: Iterable[Sequence[str]]) -> None:
        """Bind the op calls of these pools and warm them up. Raises OpCallError where an answer is wrong."""
        for keys in pools:
            kernels = [self._planned[key] for key in keys]
            trace = as_trace(kernels)
            condition = Condition.of("interleaved", self._device, self._threads, touched_bytes(kernels))
            sampler = Sampler(
                trace,
                range(len(keys)),
                Arguments(trace, one_block=True),
                self._profile,
                condition,
                None,
                seed=self._seed,
            )
            sampler.warm_up()
            self._bound.append((sampler, FOR_ROWS.in_block(sampler.usual_round_s())))
            self._profile.name_configurations(
                (one.configuration.family, one.configuration.parameters_text, one.call.key)
                for one in kernels
                if one.configuration.parameters
            )

    def block(self, pool: int) -> tuple[float, bool]:
        """Time one block of rounds. Returns which fraction of the usual rounds is done, and whether they are enough."""
        sampler, in_block = self._bound[pool]
        sampler.block(in_block)
        usual = self._blocks * in_block
        return min(1.0, sampler.rounds / usual), sampler.clean_rounds >= usual or sampler.rounds >= MOST * usual

    def end(self) -> None:
        """End the bound pools in the profile."""
        for sampler, _ in self._bound:
            sampler.end()
        self._bound.clear()

    def close(self) -> None:
        """Close the profile: then one file holds everything."""
        self._profile.close()


def _planned(key: str, family: str, parameters: str) -> Planned:
    """The op call as a kernel of a sweep. Those of models are distinguished by their operator. Raises IllegalError."""
    call = OpCall.from_json(json.loads(key))
    named = tuple(json.loads(parameters).items()) if parameters else ()
    # This PyTorch may have other defaults, which would change the key.
    return replace(plan(Configuration(family or call.operator, named, call)), call=call)
