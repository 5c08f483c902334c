"""Asks git about the repository that a folder is in."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from opclock.errors import OptionError

# A hook of git sets them for its own repository, and they would win over the folder.
OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class GitError(OptionError):
    """Git is missing, or refuses what it was asked for."""


def git(*arguments: str, folder: Path) -> str:
    """Run git in a folder and return what it prints. Raises GitError with its last line where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_HOOKS}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise GitError(f"git cannot be started in {folder}: {error.strerror}; install git") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(f"git {arguments[0]} in {folder}: {said[-1] if said else f'it ended with {done.returncode}'}")
    return done.stdout.decode(errors="replace").strip()


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree.

    Attributes:
        top: the folder of its working tree.
    """

    top: Path

    @staticmethod
    def around(folder: Path) -> Repository:
        """The repository that a folder is in. Raises GitError where there is none."""
        return Repository(Path(git("rev-parse", "--show-toplevel", folder=folder)).resolve())

    def commit(self, revision: str) -> str:
        """The full name of the commit that a branch, tag or hash means. Raises GitError where there is none."""
        try:
            return git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", folder=self.top)
        except GitError as error:
            raise GitError(f"{self.top} has no revision {revision!r}") from error

    @property
    def changed(self) -> bool:
        """Whether tracked files differ from the last commit."""
        return bool(git("status", "--porcelain", "--untracked-files=no", folder=self.top))
