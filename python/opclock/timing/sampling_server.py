"""One of several processes that sample a model in turn: `python -m opclock.timing.sampling_server`.

It either times the model's op calls, into a pool of the profile that all of them share, or the model itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from opclock.board.identity import read_board
from opclock.children.serving import serve
from opclock.errors import TraceError
from opclock.flags import ordered
from opclock.models.cifar100 import load_again
from opclock.models.loading import Specification
from opclock.profiles.profile import Profile
from opclock.timing.host_playback import Forward
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.missing import condition_of
from opclock.timing.own_arena import fix_thresholds, in_own_arena
from opclock.timing.page_faults import model_faults
from opclock.timing.reference import ReferenceRun, forward_of
from opclock.timing.sampler import Sampler
from opclock.tracing.program import first_difference
from opclock.tracing.recorder import trace as record
from opclock.tracing.trace import Trace


class Server:
    """Handles the requests."""

    def __init__(self) -> None:
        self._threads = 1
        self._trace: Trace | None = None
        self._forward: Forward | None = None
        self._profile: Profile | None = None
        self._sampler: Sampler | None = None
        self._reference: ReferenceRun | None = None
        self._faults: float | None = None  # of one inference

    @property
    def trace(self) -> Trace:
        """The model's, once it is loaded."""
        assert self._trace is not None, "load comes first"
        return self._trace

    @property
    def sampler(self) -> Sampler:
        """Of the op calls, once they are bound."""
        assert self._sampler is not None, "bind comes first"
        return self._sampler

    @property
    def reference(self) -> ReferenceRun:
        """Of the model, once it ran."""
        assert self._reference is not None, "run comes first"
        return self._reference

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the model, and see that it does here what it does in the parent. The trace may be enough."""
        sys.path += [place for place in request["path"] if place not in sys.path]
        self._threads, self._trace = request["threads"], Trace.load(request["trace"])
        if request["specification"] is not None:
            model = load_again(Specification(**request["specification"]))
            recorded = record(
                model.module, model.inputs, name=self.trace.model, real=self.trace.real, reset=model.reset
            )
            if _keys(recorded) != _keys(self.trace):
                difference = first_difference(self.trace, recorded) or "numbers among the arguments differ"
                raise TraceError(f"{self.trace.model} does something else in another process: {difference}")
            self._forward = forward_of(model.module, model.inputs, model.reset, self.trace.steps)
        torch.set_num_threads(self._threads)
        return {}

    def bind(self, request: dict[str, Any]) -> dict[str, Any]:
        """Bind some of the op calls and warm them up, for the pool of this number; None starts one or continues it.

        What is bound must not change where the model's outputs lie, so that they take the page faults that they take in
        a process which only runs the model.
        """
        if self._sampler is None:  # the model runs first, as in a reference process
            self._faults = model_faults(self._forward, self.trace.device)
            fix_thresholds()
        if self._profile is None:
            self._profile = Profile.create_or_open(Path(request["profile"]), read_board())
            self._profile.owner = request["owner"]
        profile = self._profile
        host, remark = in_own_arena(lambda: host_for(self.trace, self._forward))
        self._sampler = None  # frees the memory of the op calls before
        self._sampler = in_own_arena(
            lambda: Sampler(
                self.trace,
                range(*request["positions"]),
                Arguments(self.trace, self._forward),
                profile,
                condition_of(self.trace, self._threads),
                host,
                seed=request["seed"],
                process=request["process"],
            )
        )
        self.sampler.warm_up(request["pool"])
        return {
            "pool": self.sampler.number,
            "earlier_rounds": self.sampler.earlier_rounds,
            "unknown": self.sampler.unknown,
            "remark": remark,
            "seconds": self.sampler.seconds,
            "process": self.sampler.process,
            "model_faults": self._faults,
        }

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time one block of rounds. Returns the seconds of the shortest, and what there is so far."""
        shortest_s = self.sampler.block(request["rounds"])
        return {
            "shortest_s": shortest_s,
            "rounds": self.sampler.rounds,
            "clean_rounds": self.sampler.clean_rounds,
            "settled": self.sampler.settled,
            "seconds": self.sampler.seconds,
        }

    def end(self, request: dict[str, Any]) -> dict[str, Any]:
        """End the pool, for all processes. Returns why sampling stopped, the flags, and the number of all rounds."""
        ended, flags = self.sampler.end(
            settled=request["settled"],
            model_faults={int(number): faults for number, faults in request["model_faults"].items()},
            model_flags=ordered(request["model_flags"]),
        )
        return {"ended": ended, "flags": flags, "rounds": self.sampler.rounds}

    def run(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Run the model until it is warm. Returns how many runs make a block."""
        assert self._forward is not None, "load comes first"
        self._reference = ReferenceRun(self._forward, self.trace.model, self.trace.device)
        return {"runs": self._reference.runs}

    def reference_block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one block of the model. Returns whether too few runs are clean so far."""
        self.reference.block(request["half"])
        return {"contended": self.reference.contended}

    def samples(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the samples of the model's runs."""
        return {"reference": self.reference.reference().samples_to_json()}


def _keys(trace: Trace) -> list[str]:
    return [traced.call.key for traced in trace.calls]


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    server = Server()
    serve({
        "load": server.load, "bind": server.bind, "block": server.block, "end": server.end,
        "run": server.run, "reference_block": server.reference_block, "samples": server.samples,
    })  # fmt: skip


if __name__ == "__main__":
    main()
