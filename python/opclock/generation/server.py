"""A process that generates with a model in turn with others: `python -m opclock.generation.server`."""

from __future__ import annotations

import sys
from typing import Any

import torch

from opclock.children.serving import serve
from opclock.generation.causal import CausalModel, causal_model
from opclock.generation.loops import loop_costs
from opclock.generation.reference import GenerationRun
from opclock.models.loading import Specification, load_language_model


class Server:
    """Handles the requests."""

    def __init__(self) -> None:
        self._asked: tuple[CausalModel, int, int, int] | None = None
        self._run: GenerationRun | None = None

    @property
    def run(self) -> GenerationRun:
        """Of the model, once it is loaded."""
        assert self._run is not None, "load comes first"
        return self._run

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the model and generate a few tokens."""
        sys.path += [place for place in request["path"] if place not in sys.path]
        asked = Specification(**request["specification"])
        model = load_language_model(asked.text, dtype=asked.dtype, device=asked.device, weights=asked.weights)
        causal = causal_model(model, request["cache"], request["room"])
        torch.set_num_threads(request["threads"])
        self._asked = (causal, request["batch"], request["prompt"], request["generate"])
        self._run = GenerationRun(*self._asked)
        return {}

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Generate for a half. Returns the wall seconds, and how many generations are clean so far."""
        seconds = self.run.block(request["half"])
        return {"seconds": seconds, "clean_runs": self.run.clean_runs}

    def samples(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the seconds of each token."""
        return self.run.samples()

    def loops(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the seconds that loops of transformers take for a token outside the model."""
        assert self._asked is not None, "load comes first"
        return {"seconds": loop_costs(*self._asked)}


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    server = Server()
    serve({"load": server.load, "block": server.block, "samples": server.samples, "loops": server.loops})


if __name__ == "__main__":
    main()
