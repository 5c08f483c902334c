"""Runs a command, in this process or as a terminal does, or a call of a public function."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

from opclock.cli.main import main
from opclock.errors import OpclockError


def quiet(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command in this process. Returns its exit code and what it wrote to the two streams."""
    out, errors = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException as error:  # a bug in opclock
            return -1, out.getvalue(), errors.getvalue() + "".join(traceback.format_exception(error))
    return (code if isinstance(code, int) else 0 if code is None else 1), out.getvalue(), errors.getvalue()


def in_a_process(arguments: list[str], environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a command as a terminal does."""
    done = subprocess.run(
        [sys.executable, "-m", "opclock", *arguments], cwd=folder, capture_output=True, timeout=300, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def call(source: str, names: dict[str, object]) -> tuple[int, str, str]:
    """Evaluate Python source with these names, and end as a command would: code 2 and one line for an OpclockError."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            eval(source, names)
        except OpclockError as error:
            return 2, out.getvalue(), f"opclock: {error}"
        except BaseException as error:  # a bug in opclock
            return -1, out.getvalue(), "".join(traceback.format_exception(error))
    return 0, out.getvalue(), errors.getvalue()
