"""A command's words for another machine: what they name travels along, what they write comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click

from opclock.cli.outputs import check_output
from opclock.errors import OptionError
from opclock.farm.archive import packed
from opclock.farm.job import PROFILE, RESULT
from opclock.farm.result import of_board
from opclock.files import no_file
from opclock.models.names import KINDS

STAY = ("on", "limit_s", "reporter", "profile_path", "markdown_to", "markdown")  # options of this machine
FLAGS = ("wait_cool", "split")  # likewise
FILES = ("weights", "data", "models", "columns_path")  # options that name what is read
WRITTEN = ("folder", "report", "plot", "timeline_to", "export_to")  # options that name what is written
REFUSED = ("keep",)  # a folder of this machine
SKIPPED = ("__pycache__", "node_modules")
MAX_FILES = 2_000  # in the folder of a model's file
OF_CONFIGURATION = (".json", ".py")  # of a folder of transformers: weights are random


@dataclass
class Shipment:
    """A command for a board.

    Attributes:
        words: the command line there.
        outputs: by their names in the job's folder, where they belong on this machine.
        profile: this machine's profile, beside which each board gets one; None where none is kept.
        files: by their names in the job's folder, the files that travel.
    """

    words: list[str] = field(default_factory=list)
    outputs: dict[str, Path] = field(default_factory=dict)
    profile: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    _folders: dict[Path, str] = field(default_factory=dict)
    _given: dict[str, str] = field(default_factory=dict)  # by their places in the job's folder, as the user names them

    @cached_property
    def archive(self) -> bytes:
        """The files. Raises FarmError where they are too large."""
        return packed(self.files) if self.files else b""

    def take(self, text: str) -> str:
        """Let what a text names travel, where it names a file or folder of this machine.

        Args:
            text: a model's name or a path.

        Returns:
            The text for the board.

        Raises:
            OptionError: a model's file does not exist, or its folder holds too much.
        """
        kind, _, name = text.partition(":")
        if kind in KINDS and name:
            folder = Path(name)
            return f"hf:{self._folder(folder, name, OF_CONFIGURATION)}" if kind == "hf" and folder.is_dir() else text
        place, _, function = text.rpartition(":")
        if place.endswith(".py"):
            if not Path(place).is_file():
                raise OptionError(no_file(Path(place)))
            folder = Path(place).resolve().parent
            return f"{self._folder(folder, str(Path(place).parent))}/{Path(place).name}:{function}"
        path = Path(text)
        if path.is_dir():
            return self._folder(path, text)
        return self._file(path) if path.is_file() else text

    def _file(self, path: Path) -> str:
        name = self._place(path.resolve(), str(path))
        self.files[name] = path
        return name

    def _folder(self, folder: Path, given: str, suffixes: Sequence[str] = ()) -> str:
        """Let a folder travel: a model's file may import or read what is beside it."""
        place = self._place(folder.resolve(), given)
        for number, path in enumerate(_inside(folder)):
            if number >= MAX_FILES:
                raise OptionError(f"{folder} holds over {MAX_FILES} files, which would travel: put the model into a "
                                  "folder of its own")  # fmt: skip
            if not suffixes or path.suffix in suffixes:
                self.files[f"{place}/{path.relative_to(folder).as_posix()}"] = path
        return place

    def _place(self, path: Path, given: str) -> str:
        """The place in the job's folder for a file or folder of this machine. Its name stays: reports show it."""
        place = self._folders.setdefault(path, f"files/{len(self._folders)}/{path.name}")
        self._given.setdefault(place, given)
        return place

    def as_given(self, text: str, board: str) -> str:
        """What a board has said, with this machine's names of the files that travel there and back."""
        written = {there: str(of_board(target, board)) for there, target in self.outputs.items()}
        for place, given in (self._given | written).items():
            there = rf"(?:/[^\s'\":]*/)?\b{re.escape(place)}"
            here = given.replace("\\", r"\\")
            text = re.sub(f"{there}/", "" if given == "." else f"{here}/", text)
            text = re.sub(there, here, text)
        return text


def _inside(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, without hidden ones, caches and databases."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED or path.suffix in (".sqlite", ".pyc"):
            continue
        if path.is_dir() and not path.is_symlink() and not (path / "pyvenv.cfg").exists():
            yield from _inside(path)
        elif path.is_file():
            yield path


def shipment(
    context: click.Context, words: Sequence[str], *, profile: Path | None, without: Sequence[str] = ()
) -> Shipment:
    """Rewrite a command line for a board.

    Args:
        context: of the command.
        words: the command line without ``opclock``.
        profile: this machine's profile; None where none is kept.
        without: names of parameters that stay here, too.

    Returns:
        The command, and what travels.

    Raises:
        OptionError: an option has no meaning on several boards, or a file cannot travel.
    """
    if profile is not None and not profile.resolve().parent.is_dir():  # or what boards have measured has no place
        raise OptionError(f"--profile {profile}: there is no folder {profile.parent}; make it first")
    shipped = Shipment(profile=profile)
    parameters = _options(context)
    names = _names(context)
    left = list(words)
    while left:
        word = left.pop(0)
        if names and word == names[0]:
            shipped.words.append(names.pop(0))
            continue
        name, equals, value = word.partition("=")
        parameter = parameters.get(name) if word.startswith("-") else None
        if parameter is None:
            shipped.words.append(shipped.take(word))
        elif parameter.is_flag:
            shipped.words += [] if parameter.name in (*FLAGS, *without) else [word]
        else:
            text = value if equals else left.pop(0)
            if parameter.name not in without:
                _option(shipped, parameter, name, text)
    for name, parameter in parameters.items():  # what is written without being asked for
        wanted = parameter.name in WRITTEN and parameter.name not in without
        given = any(there.startswith(f"out/{parameter.name}") for there in shipped.outputs)
        if wanted and not given and isinstance(parameter.default, str):
            _option(shipped, parameter, name, parameter.default)
    if any(parameter.name == "reporter" for parameter in parameters.values()):
        shipped.words += ["--json", RESULT]
    if profile is None and _writes_profile(context):
        shipped.words += ["--profile", PROFILE]
    return shipped


def _names(context: click.Context) -> list[str]:
    """The names of the command and of the groups around it, without the program's."""
    names: list[str] = []
    while context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return names


def _options(context: click.Context) -> dict[str, click.Option]:
    return {text: parameter for parameter in context.command.params if isinstance(parameter, click.Option)
            for text in (*parameter.opts, *parameter.secondary_opts)}  # fmt: skip


def _writes_profile(context: click.Context) -> bool:
    return "profile_path" in context.params and not context.params.get("predict")


def _option(shipped: Shipment, parameter: click.Option, name: str, value: str) -> None:
    """Pass on one option with its value, or leave it here."""
    kind = parameter.name or ""
    if kind in REFUSED:
        raise OptionError(f"{name} has no meaning with --on: leave it out")
    if kind in STAY:
        return
    if kind in WRITTEN:
        target = Path(value)
        if target.suffix:
            check_output(name, target)
        there = f"out/{kind}{target.suffix}"
        shipped.outputs[there] = target
        value = there
    elif kind in FILES:
        value = ",".join(shipped.take(part) for part in value.split(",")) if kind == "models" else shipped.take(value)
    shipped.words += [name, value]
