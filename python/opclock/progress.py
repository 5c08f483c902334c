"""How work says how far it is."""

from collections.abc import Callable

# What is being done, and which fraction of it is done. The text begins with the step's name, then a colon and details
# that change: "resnet50: round 12". A new name means that the step before is finished.
Progress = Callable[[str, float], None]


def silent(_text: str, _fraction: float) -> None:
    """Progress that nobody watches."""


def step_name(text: str) -> str:
    """The part of a progress text that names the step."""
    return text.partition(": ")[0]


def step(progress: Progress, number: int, total: int) -> Progress:
    """Progress of one step of several.

    Args:
        progress: of the whole.
        number: of this step, from 1.
        total: how many steps there are.

    Returns:
        Progress that writes "[3/10] " before every text and counts fractions of the whole.
    """
    prefix = f"[{number}/{total}] " if total > 1 else ""
    return lambda text, fraction: progress(prefix + text, (number - 1 + fraction) / total)
