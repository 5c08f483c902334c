"""Names that do not exist: what the user may have meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

FEW = 24  # that many names still fit in a message
KINDS = ("zoo", "torchvision", "timm", "hf", "ultralytics")  # what may stand before the colon of a model's name


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: names like it, or all where they are few."""
    names = list(known)
    if near := did_you_mean(name, names):
        return near
    if not names:
        return ": it has none"
    return f"; it has: {', '.join(names)}" if len(names) <= FEW else f"; it has {len(names)}, such as {names[0]}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a message: names like this one, or nothing."""
    near = get_close_matches(name, known, n=4, cutoff=0.6)
    return f": did you mean {' or '.join(near)}?" if near else ""
