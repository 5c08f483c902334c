"""The child process of one side: `python -m opclock.comparing.server`. torch is imported when its cores are set."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opclock.board.cores import ranges
from opclock.board.system import allowed_cores, pin_to
from opclock.children.serving import serve
from opclock.errors import OptionError
from opclock.profiles.schema import SCHEMA_VERSION
from opclock.version import VERSION

if TYPE_CHECKING:
    from opclock.comparing.kernels import Kernels

PROTOCOL = 1  # of these requests: another number means that the two sides cannot work together


class Server:
    """Handles the requests."""

    def __init__(self) -> None:
        self._kernels: Kernels | None = None

    @property
    def kernels(self) -> Kernels:
        """The side's kernels, once it is open."""
        assert self._kernels is not None, "open comes first"
        return self._kernels

    def hello(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say which opclock this is."""
        return {"protocol": PROTOCOL, "schema": SCHEMA_VERSION, "opclock": VERSION, "python": sys.executable}

    def open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep to the given cores and make the new profile. Returns the board's description."""
        _keep_to(request["cores"])
        from opclock.comparing.kernels import Kernels

        self._kernels = Kernels(request["profile"], blocks=request["blocks"], seed=request["seed"])
        return {"board": self._kernels.board.to_json()}

    def plan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the op calls ready to be bound. Returns by key why PyTorch refuses one."""
        return {"refused": self.kernels.plan(request["device"], request["threads"], request["calls"])}

    def group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Divide op calls into groups of pools that are timed in turn: keys by position, by pool, by group."""
        return {"groups": self.kernels.group(request["keys"])}

    def attempt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run each op call of some pools once. Returns by key why one does not run."""
        return {"refused": self.kernels.attempt(request["pools"])}

    def bind(self, request: dict[str, Any]) -> dict[str, Any]:
        """Bind pools, and warm them up."""
        self.kernels.bind(request["pools"])
        return {}

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time one block of rounds of a pool. Returns the fraction of rounds that is done, and whether it is enough."""
        done, enough = self.kernels.block(request["pool"])
        return {"done": done, "enough": enough}

    def end(self, _request: dict[str, Any]) -> dict[str, Any]:
        """End the pools in the profile."""
        self.kernels.end()
        return {}

    def close(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Close the profile."""
        self.kernels.close()
        return {}


def _keep_to(cores: list[int]) -> None:
    """Keep to the cores of the older measurement, if they are known. Raises OptionError where some are not allowed."""
    allowed = allowed_cores()
    if not set(cores) <= set(allowed):
        raise OptionError(f"measured on cores {ranges(cores)}, this process may use {ranges(allowed)}")
    if cores and set(cores) != set(allowed):
        pin_to(cores)


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    server = Server()
    serve({
        "hello": server.hello, "open": server.open, "plan": server.plan, "group": server.group,
        "attempt": server.attempt, "bind": server.bind, "block": server.block, "end": server.end,
        "close": server.close,
    })  # fmt: skip


if __name__ == "__main__":
    main()
