"""Estimates one candidate after the other. It is also the child process that does so for ``ranking``."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from opclock.children.serving import serve
from opclock.errors import EstimateError, OpclockError, described, raised
from opclock.estimation.estimate import estimate
from opclock.formatting import counted
from opclock.profiles.profile import Profile
from opclock.ranking.candidates import Specification, candidates_of
from opclock.ranking.rows import Row


class Estimator:
    """The candidates and the profile, both open."""

    def __init__(self, specification: Specification, profile_path: Path, threads: int | None) -> None:
        """Open both. Raises OpclockError where that is not possible."""
        self._threads = threads
        self._stack = ExitStack()
        self._candidates = self._stack.enter_context(candidates_of(specification))
        self._profile = self._stack.enter_context(Profile.open(profile_path))

    def row(self, number: int) -> Row:
        """Estimate one candidate. The row says what went wrong."""
        name = self._candidates.names[number]
        try:
            return self._estimated(name, number)
        except OpclockError as error:
            return Row(name, error=str(error))
        except SystemExit as error:
            return Row(name, error=f"it {raised(error)}")
        except Exception as error:
            return Row(name, error=described(error))

    def close(self) -> None:
        """Close both."""
        self._stack.close()

    def _estimated(self, name: str, number: int) -> Row:
        trace = self._candidates.trace(number)
        estimated = estimate(trace, self._profile, threads=self._threads)
        if not estimated.complete:
            raise EstimateError(
                f"without a number: {counted(len(estimated.unknown), 'op call')}, first {estimated.unknown[0]}"
            )
        return Row(
            name,
            total_s=estimated.total_s,
            ci_low_s=estimated.ci_low_s,
            ci_high_s=estimated.ci_high_s,
            macs=sum(part.macs for part in estimated.parts),
            parameters=trace.parameters,
            measured=estimated.coverage.measured,
            setting=str(estimated.setting),
            flags=estimated.flags,
        )


def _serve() -> None:
    opened: list[Estimator] = []

    def start(request: dict[str, Any]) -> dict[str, Any]:
        opened.append(Estimator(Specification(**request["candidates"]), Path(request["profile"]), request["threads"]))
        return {}

    def estimated(request: dict[str, Any]) -> dict[str, Any]:
        row = opened[0].row(request["number"])
        if not gc.get_freeze_count():
            # The libraries that the first candidate needs have made a million objects. Looking at them in each later
            # collection takes as long as tracing.
            gc.collect()
            gc.freeze()
        return {"row": row.to_json()}

    serve({"open": start, "estimate": estimated})


if __name__ == "__main__":
    _serve()
