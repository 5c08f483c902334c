"""The arguments that a factory is called with: all combinations of the values of a grid."""

from __future__ import annotations

import itertools
import math
from typing import Any

from opclock.errors import OptionError, SweepError
from opclock.sweeps.configuration import parse

MAX_COMBINATIONS = 1_000_000
EXAMPLE = "such as width=16:64:16,depth=2:6"


def combinations(text: str) -> list[dict[str, Any]]:
    """All combinations of a grid's values, the last argument's changing fastest.

    Args:
        text: "width=16:64:16,depth=2,3,5": values by commas, or START:END:STEP with the end included.

    Raises:
        OptionError: the text is no grid, or has too many combinations.
    """
    values: dict[str, list[Any]] = {}
    for name, texts in _arguments(text).items():
        try:
            values[name] = parse(",".join(texts), None)
        except SweepError as error:
            raise OptionError(f"--grid {name}: {error}") from error
        if not values[name]:
            raise OptionError(f"--grid {name}: no value from the start to the end; write start:end:step")
    if (count := math.prod(map(len, values.values()))) > MAX_COMBINATIONS:
        raise OptionError(
            f"--grid {text}: {count:.1e} combinations, {MAX_COMBINATIONS:,} are allowed: give fewer values"
        )
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def _arguments(text: str) -> dict[str, list[str]]:
    """The texts of each argument's values. A piece without a name belongs to the argument before it."""
    texts: dict[str, list[str]] = {}
    name = ""
    for piece in text.split(","):
        before, equals, value = piece.partition("=")
        if equals:
            name = before.strip()
            if not name.isidentifier():
                raise OptionError(f"--grid {text}: {name!r} is no name of an argument; write NAME=VALUES, {EXAMPLE}")
            if name in texts:
                raise OptionError(f"--grid {text}: {name} is there twice; write its values by commas: {name}=16,32")
            texts[name] = [value]
        elif not name:
            raise OptionError(f"--grid {text}: {piece!r} belongs to no argument; write NAME=VALUES, {EXAMPLE}")
        else:
            texts[name].append(piece)
    return texts


def name_of(arguments: dict[str, Any]) -> str:
    """The name of a candidate with these arguments: "width=16,depth=2"."""
    return ",".join(f"{name}={_shown(value)}" for name, value in arguments.items())


def _shown(value: Any) -> str:  # noqa: ANN401
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
