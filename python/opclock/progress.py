"""Reports progress."""

from collections.abc import Callable

# A function that takes a text and the fraction that is done. The text is the step's name, a colon, and details that
# change: "resnet50: round 12". A new name means that the previous step is finished.
Progress = Callable[[str, float], None]


def silent(_text: str, _fraction: float) -> None:
    """Report nothing."""


def step_name(text: str) -> str:
    """The part of a progress text that names the step."""
    return text.partition(": ")[0]


def step(progress: Progress, number: int, total: int) -> Progress:
    """Report one of several steps as a part of the whole.

    Args:
        progress: reports the whole.
        number: the number of this step, from 1.
        total: the number of steps.

    Returns:
        A function for this step. It puts "[3/10] " before every text and converts fractions to fractions of the whole.
    """
    prefix = f"[{number}/{total}] " if total > 1 else ""
    return lambda text, fraction: progress(prefix + text, (number - 1 + fraction) / total)
