"""What a user sees of an error: one line and an exit code."""

from __future__ import annotations

import ast
import re
import shlex
import traceback

import click

from opclock.errors import OpclockError, OptionError, is_out_of_memory, raised

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as in shells
# Optional dependencies, and how to install each.
INSTALLED_BY = {
    "torch": "pip install torch",
    **dict.fromkeys(("matplotlib", "jinja2", "tabulate", "yaml"), "pip install 'opclock[report]'"),
    "plotly": "pip install 'opclock[explore]'",
    **dict.fromkeys(("distributed", "dask"), "pip install 'opclock[farm]'"),
}
FILE_MODULE = "opclock_file_"  # then its stem: the name of a model's file as a module
# An error of a public function names arguments as Python writes them: the wrong one at the beginning, with its value,
# others in the text: "input_text=SHAPE" or "real=True".
ARGUMENT = re.compile(
    r"(threads|device|dtype|input_text|batch_dim|processes|generate|depths|cache|depth)="
    r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+?): "
)
ADVICE = re.compile(r"\b(?:(input_text|batch_dim)=(?=[A-Z0-9'\"])|(real|explain|validate|predict|loops)=True\b)")
OPTIONS = {"input_text": "--input", "batch_dim": "--batch-dim"}  # for the others it is the argument's name


def explained(error: BaseException) -> tuple[str | None, int]:
    """Return the line that a user sees for this error, and the exit code. The line is None for a bug in opclock."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        notes = getattr(error.__cause__ or error, "__notes__", ["nothing was stored"])
        return f"interrupted; {notes[0]}", getattr(error.__cause__ or error, "code", INTERRUPTED)
    return _line(error), BAD_INPUT


def _line(error: BaseException) -> str | None:  # noqa: PLR0911 - one for each kind
    if isinstance(error, OptionError):
        return in_options(_as_option(str(error)))
    if isinstance(error, click.ClickException | OpclockError):
        return error.format_message() if isinstance(error, click.ClickException) else in_options(str(error))
    if line := of_model_file(error):
        return line
    if isinstance(error, ImportError):
        name = error.name or "a module"
        remedy = INSTALLED_BY.get(name.partition(".")[0])
        missing = f"this needs {name}, which is not installed: {remedy}"
        return missing if remedy else f"cannot import {name} ({error}); 'opclock doctor' names the remedy"
    if is_out_of_memory(error):
        return "out of memory: use a smaller input or batch, or stop other processes"
    if isinstance(error, OSError):
        return f"cannot use {error.filename or 'standard output'}: {error.strerror or error}"
    return None


def _as_option(message: str) -> str:
    """A message that begins with an argument as in Python, such as "threads=3: ...", with the command's option."""
    found = ARGUMENT.match(message)
    if found is None:
        return message
    name, value = found.groups()
    text = str(ast.literal_eval(value)) if value[0] in "'\"" else value
    return f"{_option(name)} {shlex.quote(text)}: {message[found.end() :]}"


def in_options(message: str) -> str:
    """A message with "--input SHAPE" for "input_text=SHAPE": the command's options in place of Python's arguments."""
    return ADVICE.sub(lambda found: f"{_option(found[1])} " if found[1] else _option(found[2]), message)


def _option(argument: str) -> str:
    return OPTIONS.get(argument, f"--{argument}")


def of_model_file(error: BaseException) -> str | None:
    """The line about an error that a model's file raised where opclock expects none; None for any other error."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)
              if str(frame.f_globals.get("__name__")).startswith(FILE_MODULE)]  # fmt: skip
    if not frames:
        return None
    frame, line = frames[-1]
    return f"the model {raised(error)} (line {line} of {frame.f_code.co_filename})"
