"""The two sides of a gate: what a user names, and how a process of that side runs."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opclock.children.interpreters import fault_of
from opclock.errors import GateError, OptionError
from opclock.gating.checkouts import Checkout, check_out
from opclock.gating.repository import GitError, Repository
from opclock.progress import Progress

NEEDED = ("torch", "numpy", "scipy", "psutil")  # in an environment, which need not have opclock
PYTHONS = ("bin/python", "Scripts/python.exe")  # of a virtual environment


@dataclass(frozen=True)
class Side:
    """One side of a gate.

    Attributes:
        name: "base" or "head".
        text: what the user named it by.
        python: the interpreter of its processes.
        folder: their working directory.
        places: what comes first on their path.
        checkout: of its revision; None where it is an environment or a folder.
        commit: of the files that are run; None where they are in no repository.
        changed: whether tracked files differ from that commit; None where there is none.
    """

    name: str
    text: str
    python: str
    folder: Path
    places: tuple[str, ...]
    checkout: Checkout | None = None
    commit: str | None = None
    changed: bool | None = None

    def __str__(self) -> str:
        if self.commit is None or self.python != sys.executable:
            return self.text
        about = [] if self.commit.startswith(self.text) else [self.commit[:12]]
        about += ["changed"] if self.changed else []
        return f"{self.text} ({', '.join(about)})" if about else self.text

    @property
    def moved(self) -> tuple[str, str] | None:
        """The user's working tree, and what stands in for it; None where it is used itself."""
        return None if self.checkout is None else (str(self.checkout.top), str(self.checkout.tree))

    def model(self, text: str) -> str:
        """How a process of this side names the model: a file of the working tree is that of the revision."""
        if self.checkout is None:
            return text
        file, colon, factory = text.rpartition(":")
        path = Path(file if colon else text)
        if not path.is_absolute() or not path.is_relative_to(self.checkout.top):
            return text
        return f"{self.checkout.tree / path.relative_to(self.checkout.top)}{colon}{factory if colon else ''}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"name": self.text, "interpreter": self.python, "folder": str(self.folder), "commit": self.commit,
                "changed": self.changed}  # fmt: skip


def choose_side(name: str, text: str, *, install: bool, progress: Progress) -> Side:
    """Find out what a user names, and check out a revision.

    Args:
        name: "base" or "head".
        text: a revision of the repository around the working directory; or a virtual environment, a Python interpreter
            or a folder with sources.
        install: whether the project of a revision must be installed.
        progress: receives a text and the fraction that is done.

    Returns:
        The side.

    Raises:
        OptionError: it is none of these, or the interpreter is none, too old, or lacks a module.
        GateError: the revision cannot be checked out or installed.
    """
    path, here = Path(text), Path.cwd()
    repository = _repository(here)
    commit = None if repository is None or _is_no_revision(text) else _commit(repository, text)
    if commit is not None and repository is not None:
        return _of_revision(name, text, here, check_out(repository, commit, install=install, progress=progress))
    for python in (path / inner for inner in PYTHONS):
        if python.is_file():
            return _of_environment(name, text, str(python.absolute()), here)
    if text.strip() and path.is_dir():
        top = repository.top if repository is not None and here.is_relative_to(path.resolve()) else path.resolve()
        folder = here if here.is_relative_to(top) else top
        return Side(name, text, sys.executable, folder, _places(folder, top), None, *_state(folder))
    program = str(path.absolute()) if path.is_file() else _interpreter(text)
    if program is not None:
        return _of_environment(name, text, program, here)
    revision = f"a revision of {repository.top}" if repository else "a revision (there is no git repository here)"
    raise OptionError(
        f"--{name} {text!r} is neither {revision} nor a virtual environment, a Python interpreter or a folder"
    )


def _of_revision(name: str, text: str, here: Path, checkout: Checkout) -> Side:
    inner = here.relative_to(checkout.top)
    folder = checkout.tree / inner
    if not folder.is_dir():
        raise GateError(f"--{name} {text}: the revision has no folder {inner}; run the gate in one that it has")
    installed = () if checkout.site is None else (str(checkout.site),)
    places = (*installed, *_places(folder, checkout.tree))
    return Side(name, text, sys.executable, folder, places, checkout, checkout.commit, changed=False)


def _of_environment(name: str, text: str, python: str, here: Path) -> Side:
    if fault := fault_of(python, NEEDED):
        raise OptionError(f"--{name} {text}: {fault}")
    return Side(name, text, python, here, (str(here),), None, *_state(here))


def _interpreter(text: str) -> str | None:
    """The Python of this name that a shell would start; no other program, though one may be named "HEAD" or "main"."""
    return shutil.which(text) if text.startswith(("python", "pypy")) else None


def _places(folder: Path, top: Path) -> tuple[str, ...]:
    """Where Python finds the modules of a working tree: its top, src in it, and the working directory."""
    return tuple(dict.fromkeys(str(one) for one in (folder, top / "src", top) if one.is_dir()))


def _is_no_revision(text: str) -> bool:
    """Whether git has no revision of such a name: "." or "./main", which are paths, or "-x"."""
    return text.startswith((".", "-")) or Path(text).is_absolute()


def _repository(folder: Path) -> Repository | None:
    try:
        return Repository.around(folder)
    except GitError:
        return None


def _commit(repository: Repository, text: str) -> str | None:
    try:
        return repository.commit(text)
    except GitError:
        return None


def _state(folder: Path) -> tuple[str | None, bool | None]:
    """The last commit of a folder's repository, and whether tracked files differ from it; None where there is none."""
    try:
        repository = Repository.around(folder)
        return repository.commit("HEAD"), repository.changed
    except GitError:
        return None, None


def notes(sides: tuple[Side, Side]) -> list[str]:
    """What a user may not have meant."""
    base, head = sides
    found = []
    if (base.python, base.folder, base.places) == (head.python, head.folder, head.places):
        found.append("base and head are the same: nothing but chance differs")
    if head.checkout is not None and Repository(head.checkout.top).changed:
        found.append(f"{head} lacks what was changed since the last commit: --head . takes the working tree as it is")
    return found
