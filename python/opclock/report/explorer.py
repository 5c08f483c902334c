"""One interactive page of estimates: where the time goes, by module, operator class and op call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from opclock.errors import EstimateError
from opclock.estimation.estimate_file import estimate_of
from opclock.estimation.models_in_profile import estimates
from opclock.estimation.result import Estimate
from opclock.files import json_text
from opclock.flags import explained
from opclock.profiles.profile import Profile
from opclock.report.colours import CLASS_COLOURS
from opclock.report.templates import render

KINDS = "name an estimate, a validation or a profile"


@dataclass(frozen=True)
class Side:
    """One estimate as the page shows it, and what was measured beside it."""

    name: str  # in the page's menus
    estimate: Estimate
    measured_s: float | None = None  # real inference
    observed_s: Sequence[float] = ()  # by op call, timed inside real inferences

    def to_json(self) -> dict[str, Any]:
        """What the page's script reads. Times are in seconds."""
        estimate = self.estimate
        observed: Sequence[float | None] = self.observed_s or [None] * len(estimate.parts)
        return {
            "name": self.name,
            "model": estimate.model,
            "about": str(estimate.setting),
            "total_s": estimate.total_s,
            "ci_low_s": estimate.ci_low_s,
            "ci_high_s": estimate.ci_high_s,
            "measured_s": self.measured_s,
            "flags": explained(estimate.flags),
            "host_tail_s": estimate.host_tail_s,
            "parts": [
                {**asdict(part), "validity": part.validity, "observed_s": seconds}
                for part, seconds in zip(estimate.parts, observed, strict=True)
            ],
        }


def sides_in(path: Path) -> list[Side]:
    """The estimates in a file.

    Args:
        path: an estimate or a validation (.json), or a profile, whose measured models are estimated.

    Returns:
        One a model; a profile's newest model comes first.

    Raises:
        EstimateError, ProfileError: the file cannot be read, or holds no model.
    """
    if path.suffix != ".json":
        with Profile.open(path) as profile:
            return [Side(f"{one.model}, {one.setting}", one) for one in estimates(profile)]
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return _of_rows(data["rows"]) if isinstance(data, dict) and "rows" in data else [_of_estimate(data)]
    except OSError as error:
        raise EstimateError(
            f"cannot read {path}: {error.strerror}; name an estimate, a validation or a profile"
        ) from error
    except (ValueError, RecursionError) as error:
        raise EstimateError(f"{path} is not JSON ({error}); name an estimate, a validation or a profile") from error
    except EstimateError as error:
        raise EstimateError(f"{path} is {error}") from error


def _of_estimate(data: dict[str, Any]) -> Side:
    estimate = estimate_of(data)
    return Side(f"{estimate.model}, {estimate.setting}", estimate)


def _of_rows(rows: list[dict[str, Any]]) -> list[Side]:
    """The models of a validation."""
    if not rows:
        raise EstimateError(f"a validation without a model; {KINDS}")
    try:
        return [_of_row(row) for row in rows]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EstimateError(f"a damaged validation ({type(error).__name__}: {error}); {KINDS}") from error


def _of_row(row: dict[str, Any]) -> Side:
    estimate = estimate_of(row["estimate"])
    observed_s = row.get("explanation", {}).get("observed_s", ())
    if observed_s and len(observed_s) != len(estimate.parts):
        raise ValueError(f"{len(observed_s)} observed times of {len(estimate.parts)} op calls")
    return Side(f"{estimate.model}, {estimate.setting}", estimate, row["reference"]["median_s"], observed_s)


def page(files: Sequence[Path]) -> str:
    """The page of the estimates in these files.

    Args:
        files: one or more, see ``sides_in``. The first estimates of the first two files are shown beside each other.

    Returns:
        HTML that needs nothing else, neither files nor the network.

    Raises:
        EstimateError, ProfileError: see ``sides_in``.
    """
    groups = [sides_in(path) for path in files]
    from plotly.offline import get_plotlyjs  # optional: what is wrong with a file comes first

    sides = [
        {**side.to_json(), "name": f"{side.name} ({path.name})" if len(files) > 1 else side.name}
        for path, group in zip(files, groups, strict=True)
        for side in group
    ]
    data = {"sides": sides, "second": len(groups[0]) if len(groups) > 1 else None, "colours": CLASS_COLOURS}
    script = resources.files("opclock.report").joinpath("templates/explore.js").read_text(encoding="utf-8")
    title = sides[0]["model"] if len(sides) == 1 else ", ".join(path.name for path in files)
    # A model's name must not end the element that the data is in.
    return render("explore", title=title, data=json_text(data, compact=True).replace("<", "\\u003c"),
                  library=get_plotlyjs(), script=script)  # fmt: skip
