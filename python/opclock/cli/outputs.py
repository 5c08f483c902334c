"""Checks the files that a command is told to write, before long work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click

from opclock.errors import OptionError
from opclock.files import check_writable, prepare_folder

WORDS = "opclock.words"  # of the command line, in click's context


def remember_words(context: click.Context, words: Sequence[str]) -> None:
    """Keep the words of the command line: an output must not be one of the files that they name."""
    context.meta[WORDS] = tuple(words)


def words_of(context: click.Context) -> tuple[str, ...]:
    """The words of the command line, from the name of the verb on."""
    words: tuple[str, ...] = context.meta.get(WORDS, ())
    return words


def is_for_boards(context: click.Context) -> bool:
    """Whether the command runs on boards of a farm: its options then hold for them, not for this machine."""
    return any(word == "--on" or word.startswith("--on=") for word in words_of(context))


def check_output(option: str, path: Path | None, suffixes: Sequence[str] = ()) -> None:
    """Check that a file can be written.

    Args:
        option: the name of the option that names it.
        path: the file; None where the option is not given.
        suffixes: of which its name must have one; any if empty.

    Raises:
        OptionError: the file cannot be written, has another suffix, or is named a second time in the command, such as
            the file of the model, or another output: this would replace it.
    """
    if path is None:
        return
    if suffixes and path.suffix not in suffixes:
        raise OptionError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")
    check_writable(path)
    if (path.is_file() or not path.exists()) and sum(_is_same(path, word) for word in _words()) > 1:
        raise OptionError(f"{option} {path}: the command names this file twice and would replace it; name another one")


def check_unnamed(path: Path) -> None:
    """Raise OptionError where the command names a file that a board's answer would replace."""
    if any(_is_same(path, word) for word in _words()):
        raise OptionError(
            f"{path}: the command names this file, and a board's answer would replace it; name another one"
        )


def output_folder(folder: Path) -> None:
    """Create a folder for what a command will write. Where it stays empty, it goes when the command ends.

    Raises OptionError where nothing can be written there.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    context = click.get_current_context(silent=True)
    if context is not None:  # files are written as the context closes, which is in reverse order
        context.call_on_close(lambda: _remove_empty(made))
    prepare_folder(folder)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of these folders, each inside the next, that are empty."""
    for one in folders:
        with suppress(OSError):
            one.rmdir()


def check_json(target: str) -> None:
    """Check that JSON can be written to a file, or to standard output (``-``). Raises OptionError where it cannot."""
    if not target.strip():
        raise OptionError(f"--json {target!r}: name a file, or - for standard output")
    if target != "-":
        check_output("--json", Path(target))
    elif getattr(sys.stdout, "name", "") == os.devnull:  # in place of a closed one
        raise OptionError("--json -: standard output is closed; name a file")


def _words() -> tuple[str, ...]:
    context = click.get_current_context(silent=True)
    return () if context is None else words_of(context)


def _is_same(path: Path, word: str) -> bool:
    """Whether a word of the command line names this file."""
    return any(_is_file(path, Path(name)) for name in _names(word))


def _names(word: str) -> Iterator[str]:
    """What in a word may be the name of a file: FILE, --option=FILE, FILE:factory, hf:FILE."""
    value = word.partition("=")[2] if word.startswith("--") else word
    yield value
    yield value.rpartition(":")[0]
    yield value.partition(":")[2]


def _is_file(path: Path, other: Path) -> bool:
    try:
        return other.samefile(path) if path.exists() else other.absolute() == path.absolute()
    except (OSError, ValueError):  # no file, or no name of one
        return False
