"""The boards that --on names, and those that cannot take part, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opclock.errors import FarmError
from opclock.farm.board import FarmBoard

ALL = "all"


def chosen(text: str, boards: Sequence[FarmBoard]) -> list[FarmBoard]:
    """The boards that a text names.

    Args:
        text: ``all``, ``tag:TAG`` or a name; several by commas.
        boards: of the farm.

    Returns:
        Each board once, by name.

    Raises:
        FarmError: the text is empty, or names no board.
    """
    found: dict[str, FarmBoard] = {}
    for part in (one.strip() for one in text.split(",")):
        fitting = [board for board in boards if _fits(part, board)]
        if not fitting:
            raise FarmError(f"--on {text!r}: {_nobody(part, boards)}")
        found |= {board.name: board for board in fitting}
    return [found[name] for name in sorted(found)]


def _fits(part: str, board: FarmBoard) -> bool:
    if part.startswith("tag:"):
        return part.removeprefix("tag:") in board.tags
    return part in (ALL, board.name)


def _nobody(part: str, boards: Sequence[FarmBoard]) -> str:
    if not boards:
        return "the farm has no board: 'opclock farm join' on a board"
    if not part:
        return "a name is missing; write all, tag:TAG or a name, several by commas"
    names = ", ".join(sorted(board.name for board in boards))
    if part.startswith("tag:"):
        tags = ", ".join(sorted({tag for board in boards for tag in board.tags}))
        if not tags:
            return f"no board has a tag; name some: {names}"
        return f"no board has the tag {part.removeprefix('tag:')!r}; there are: {tags}"
    return f"no board {part!r}; there are: {names}; or write all, or tag:TAG"


def refusals(boards: Sequence[FarmBoard], opclock: str) -> dict[str, str]:
    """Why some boards cannot take part, by name.

    A result means the same on all boards: so they need this machine's opclock, and one torch among them.

    Args:
        boards: that were named.
        opclock: the version on this machine.
    """
    torch = _usual_torch(boards)
    found: dict[str, str] = {}
    for board in boards:
        has = board.versions
        if has.get("opclock") != opclock:
            found[board.name] = f"it has opclock {has.get('opclock')}, this machine {opclock}: install the same on both"
        elif board.trouble:
            found[board.name] = f"its doctor found trouble: {board.trouble}"
        elif board.clock:
            found[board.name] = f"{board.clock}, and a profile knows by it what was measured last: set it"
        elif board.drained:
            found[board.name] = (
                f"it ends after its job, which 'opclock farm cancel {board.name}' ends at once"
                if board.state == "draining" else "it is drained: 'opclock farm join' on it"
            )  # fmt: skip
        elif has.get("torch") != torch:
            found[board.name] = (
                f"it has torch {has.get('torch')}, the others {torch}: install the same, or name it alone"
            )
    return found


def _usual_torch(boards: Sequence[FarmBoard]) -> str | None:
    """The torch that most boards have; of several the newest by name."""
    counts = Counter(board.versions.get("torch", "") for board in boards)
    return max(counts, key=lambda torch: (counts[torch], torch), default=None)
