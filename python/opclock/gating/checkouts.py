"""Checks revisions out beside the user's working tree, and installs their projects. Both are done once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opclock.errors import GateError, OptionError
from opclock.gating.repository import GitError, Repository, git
from opclock.progress import Progress

DONE = "done"  # a file that says that a checkout is whole


@dataclass(frozen=True)
class Checkout:
    """A revision in a folder of its own.

    Attributes:
        top: the user's working tree, of the same repository.
        commit: its full name.
        tree: the revision's files: a worktree of the repository.
        site: where its project is installed; None where it is not.
    """

    top: Path
    commit: str
    tree: Path
    site: Path | None = None


def cache_folder() -> Path:
    """Where checkouts are kept."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "opclock" / "gate"


def check_out(repository: Repository, commit: str, *, install: bool, progress: Progress) -> Checkout:
    """Check a commit out, unless an earlier gate did.

    Args:
        repository: the user's.
        commit: its full name.
        install: whether its project is installed, too, by pip and without its dependencies.
        progress: receives a text and the fraction that is done.

    Returns:
        The checkout.

    Raises:
        GateError: git or pip fails, or the folder cannot be written.
    """
    key = hashlib.sha256(str(repository.top).encode()).hexdigest()[:8]
    home = cache_folder() / f"{repository.top.name}-{key}" / commit[:16]
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home / "lock"):
            tree = home / "tree"
            if not _is_whole(home, tree, commit):
                progress(f"checking out {commit[:12]}", 0.0)
                _add_worktree(repository, home, tree, commit)
            return Checkout(repository.top, commit, tree, _installed(home, tree, progress) if install else None)
    except GitError as error:
        raise GateError(str(error)) from error
    except OSError as error:
        raise GateError(f"cannot check out {commit[:12]} in {home}: {error.strerror or error}") from error


def _is_whole(home: Path, tree: Path, commit: str) -> bool:
    """Whether the checkout is there, and nobody has changed it."""
    if not (home / DONE).is_file() or not tree.is_dir():
        return False
    try:
        return git("rev-parse", "HEAD", folder=tree) == commit and not Repository(tree).changed
    except GitError:  # such as after the user's repository was moved
        return False


def _add_worktree(repository: Repository, home: Path, tree: Path, commit: str) -> None:
    (home / DONE).unlink(missing_ok=True)
    if tree.exists():
        shutil.rmtree(tree)
    for site in home.glob("site-*"):
        shutil.rmtree(site)
    git("worktree", "prune", folder=repository.top)
    git("worktree", "add", "--detach", "--force", str(tree), commit, folder=repository.top)
    if (tree / ".gitmodules").is_file():
        git("submodule", "update", "--init", "--recursive", folder=tree)
    (home / DONE).touch()


def _installed(home: Path, tree: Path, progress: Progress) -> Path:
    """The folder with the revision's project, built for this Python."""
    site = home / f"site-{sys.implementation.cache_tag}"
    if site.is_dir():
        return site
    if not any((tree / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise OptionError(f"--install: {tree} has no pyproject.toml and no setup.py: nothing can be installed")
    progress(f"installing {home.name[:12]}", 0.0)
    unfinished = site.with_suffix(".part")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    options = ("--disable-pip-version-check", "--quiet", "--no-deps", "--target", str(unfinished))
    command = [sys.executable, "-m", "pip", "install", *options, str(tree)]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise GateError(f"pip cannot install {home.name[:12]}: {said[-1] if said else 'it says nothing'}")
    unfinished.rename(site)
    return site


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time into the block."""
    import fcntl  # Windows lacks it, and gates

    with lock.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
