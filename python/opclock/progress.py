"""How long work tells whoever watches how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # what is being done, and which fraction of it is done


def silent(_text: str, _fraction: float) -> None:
    """Progress that nobody watches."""
