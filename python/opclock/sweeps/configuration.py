"""A configuration: one point of a sweep, a family's parameters with the op call they give."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opclock.errors import SweepError
from opclock.files import json_text
from opclock.sweeps.families import Family, IllegalError, Parameter, find_family
from opclock.tracing.op_call import HOST, OpCall, placed

MAX_COMBINATIONS = 100_000  # of a grid: to time so many takes hours


@dataclass(frozen=True)
class Configuration:
    """A family's parameters and their op call."""

    family: str
    parameters: tuple[tuple[str, Parameter], ...]
    call: OpCall

    def on(self, device: str) -> Configuration:
        """The configuration on a device, which becomes a parameter. Raises IllegalError for a device copy on a CPU."""
        placed_call = OpCall(self.call.operator, self.call.overload, placed(self.call.args, device),
                             tuple((name, placed(value, device)) for name, value in self.call.kwargs))  # fmt: skip
        if device != "cpu":
            return Configuration(self.family, (*self.parameters, ("device", device)), placed_call)
        if any(spec.device == HOST for spec in self.call.tensors()):
            raise IllegalError("a copy between host and device needs a device beside the host: --device cuda")
        return self

    @property
    def parameters_text(self) -> str:
        """The parameters as JSON, as a profile stores them."""
        return json_text(dict(self.parameters), compact=True)


def configuration(family: Family, given: Mapping[str, Parameter]) -> Configuration:
    """Make one configuration; other parameters get their defaults. Raises IllegalError with the reason."""
    values = {name: given.get(name, default) for name, default in family.parameters.items()}
    family.check(values)
    return Configuration(family.name, tuple(values.items()), family.make(**values))


def grid(name: str, parameters: Mapping[str, Any]) -> tuple[list[Configuration], Counter[str]]:
    """Make all combinations of the parameters' values.

    Args:
        name: the family's name.
        parameters: by name, one value (a number, text or size) or several (any iterable except a tuple, which is one
            size with a number for each dimension).

    Returns:
        The legal configurations, one for each op call; and by reason how many combinations are illegal.

    Raises:
        SweepError: an unknown family, an unknown or missing parameter, or no legal combination.
    """
    family = find_family(name)
    for given in parameters:
        if given not in family.parameters:
            raise SweepError(f"{name} has no parameter '{given}'; it has: {', '.join(family.parameters)}")
    missing = [one for one in family.required if one not in parameters]
    if missing:
        raise SweepError(f"{name} needs {', '.join(missing)}: give one value or several")
    choices = [values(value) for value in parameters.values()]
    if (count := math.prod(len(some) for some in choices)) > MAX_COMBINATIONS:
        raise SweepError(f"{count:.1e} combinations of {name}'s parameters, {MAX_COMBINATIONS} are allowed: give fewer "
                         "values")  # fmt: skip
    legal: dict[str, Configuration] = {}
    skipped: Counter[str] = Counter()
    for combination in itertools.product(*choices):
        try:
            point = configuration(family, dict(zip(parameters, combination, strict=True)))
        except IllegalError as error:
            skipped[str(error)] += 1
        else:
            legal.setdefault(point.call.key, point)
    if not legal:
        reason = skipped.most_common(1)[0][0] if skipped else "a parameter has no value"
        raise SweepError(f"no combination of {name}'s parameters is legal: {reason}")
    return list(legal.values()), skipped


def values(value: Any) -> list[Parameter]:  # noqa: ANN401
    """Convert one value or several to a list."""
    if isinstance(value, str | tuple) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def parse(text: str, default: Any) -> list[Parameter]:  # noqa: ANN401
    """Parse values from the command line: "16,32", "8:64:8" (includes the end), "0.5", "1x7" (a size), "true".

    Args:
        text: the values.
        default: the parameter's default, which decides between text and number.

    Returns:
        The values.

    Raises:
        SweepError: the text cannot be parsed.
    """
    parsed: list[Parameter] = []
    parts = text.split(",")
    if not all(part.strip() for part in parts):
        raise SweepError(f"'{text}' has an empty value: write values by commas, such as 8,16")
    for part in parts:
        if ":" in part:
            parsed += _range(part)
        else:
            parsed.append(_value(part.strip(), default))
    return parsed


def _range(text: str) -> list[Parameter]:
    try:
        start, stop, step = (int(number) for number in (text + ":1").split(":")[:3])
        numbers = range(start, stop + 1, step)
    except ValueError:
        raise SweepError(f"'{text}' is not a range: write start:stop or start:stop:step, the stop included") from None
    if len(numbers) > MAX_COMBINATIONS:
        raise SweepError(f"'{text}' has {len(numbers):.1e} values, {MAX_COMBINATIONS} are allowed: give a larger step")
    return list(numbers)


def _value(text: str, default: Any) -> Parameter:  # noqa: ANN401
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise SweepError(f"'{text}': true or false is needed")
        return text.lower() in ("true", "yes", "1")
    if text.lstrip("-").isdigit():
        return int(text)
    sides = text.split("x")
    if len(sides) > 1 and all(side.isdigit() for side in sides):
        return tuple(int(side) for side in sides)
    if isinstance(default, str):
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise SweepError(f"'{text}': a finite number is needed")
    return number
