"""One process of one side, which runs a model: `child.py` starts it, in any environment that has torch."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

from opclock.children.serving import serve
from opclock.errors import GateError
from opclock.models.cifar100 import load_again
from opclock.models.loading import Specification
from opclock.timing.reference import ReferenceRun, forward_of

if TYPE_CHECKING:
    from opclock.timing.host_playback import Forward


class Server:
    """Handles the requests."""

    def __init__(self) -> None:
        self._name = ""
        self._blocks = 0
        self._forward: Forward | None = None
        self._reference: ReferenceRun | None = None

    @property
    def reference(self) -> ReferenceRun:
        """Of the model, once it ran."""
        assert self._reference is not None, "run comes first"
        return self._reference

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the model where this side has it. Returns the versions of Python and torch."""
        os.chdir(request["folder"])
        moved = request["moved"]
        if moved is not None:
            sys.path[:] = [_moved(place, *moved) for place in sys.path]
        sys.path[:0] = request["places"]
        model = load_again(Specification(**request["specification"]))
        if moved is not None and (stranger := _stranger(*moved)):
            raise GateError(
                f"{stranger} is from the working tree, not from the revision, as its project is installed in editable "
                "mode: give --install"
            )
        torch.set_num_threads(request["threads"])
        self._name = model.name
        self._forward = forward_of(model.module, model.inputs, model.reset)
        return {"torch": torch.__version__, "python": platform.python_version()}

    def run(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Run the model until it is warm. Returns how many runs make a block, and the bytes of this process."""
        assert self._forward is not None, "load comes first"
        self._reference = ReferenceRun(self._forward, self._name)
        return {"runs": self._reference.runs, "bytes": psutil.Process().memory_info().rss}

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a block of runs. Returns its wall seconds, and whether other programs disturbed nearly all so far."""
        self.reference.runs = request["runs"]
        self._blocks += 1
        return {"seconds": self.reference.block(self._blocks % 2), "contended": self.reference.contended}

    def samples(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the seconds of all runs, and how many other programs disturbed."""
        return {"seconds": self.reference.all_seconds.tolist(), "disturbed": self.reference.disturbed}


def _own(place: str) -> bool:
    """Whether a place belongs to the environment, which may lie in the working tree."""
    return any(Path(place).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))


def _moved(place: str, top: str, tree: str) -> str:
    """A place on the path: that of the revision where the user's is in the working tree."""
    if not place or _own(place) or not Path(place).is_relative_to(top):
        return place
    return str(tree / Path(place).relative_to(top))


def _stranger(top: str, tree: str) -> str:
    """A module that was imported from the user's working tree, with its file; "" where there is none."""
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or _own(file):
            continue
        if Path(file).is_relative_to(top) and not Path(file).is_relative_to(tree):
            return f"{name} ({file})"
    return ""


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    server = Server()
    serve({"load": server.load, "run": server.run, "block": server.block, "samples": server.samples})
