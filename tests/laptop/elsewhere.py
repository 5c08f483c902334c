"""A process on a laptop, as far as Linux can play one: `python elsewhere.py PLATFORM [without torch] < commands`.

What macOS or Windows lack is taken away, the compiled parts are hidden; then each line of standard input, the arguments
of one command as a JSON list, is run, and answered with a JSON line: exit code, standard output, standard error.
"""

from __future__ import annotations

import importlib.abc
import io
import json
import mmap
import os
import platform
import signal
import sys
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

# Missing on macOS or on Windows.
MISSING = {
    os: (
        "sched_getaffinity",
        "sched_setaffinity",
        "getloadavg",
        "killpg",
        "setsid",
        "fork",
        "getuid",
        "uname",
        "sysconf",
    ),
    signal: ("SIGKILL", "pthread_kill", "pthread_sigmask"),
    mmap: ("MAP_ANONYMOUS", "MAP_PRIVATE"),
    time: ("clock_gettime", "CLOCK_MONOTONIC_RAW"),
}
# Their files, or modules of the standard library, that are nowhere but on Linux.
FOLDERS = ("/proc", "/sys", "/etc")
MODULES = {"fcntl", "resource", "termios", "pwd", "grp", "opclock._core", "opclock._aten"}
SYSTEMS = {"darwin": "Darwin", "win32": "Windows"}
# Imported before: they ask the system, which is really Linux, at import.
LIBRARIES = ("click", "jinja2", "matplotlib.pyplot", "numpy", "pandas", "psutil", "rich.console", "rich.progress",
             "rich.table", "scipy.stats", "sklearn.ensemble", "tabulate", "unittest.mock")  # fmt: skip


class Hidden(importlib.abc.MetaPathFinder):
    """Modules that are not there."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name, path=None, target=None):
        if name in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _without_linux_files() -> None:
    def refusing(method):
        def read(self, *arguments, **options):
            if self.as_posix().startswith(FOLDERS):
                raise FileNotFoundError(2, "No such file or directory", str(self))
            return method(self, *arguments, **options)

        return read

    Path.read_text, Path.read_bytes, Path.open = map(refusing, (Path.read_text, Path.read_bytes, Path.open))
    find = Path.glob
    Path.glob = lambda self, pattern: iter(()) if self.as_posix().startswith(FOLDERS) else find(self, pattern)


def _folder_that_hides(name: str) -> str:
    folder = Path("hidden").resolve()
    folder.mkdir(exist_ok=True)
    text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n"
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return str(folder)


def move_to(system: str, *, torch: bool) -> None:
    """Make this process one on another system, "darwin" or "win32"."""
    for name in (*LIBRARIES, *(("torch", "torch.fx", "torchgen") if torch else ())):
        with suppress(ImportError):
            importlib.import_module(name)
    for module, names in MISSING.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    hidden = MODULES if torch else MODULES | {"torch"}
    for name in hidden & set(sys.modules):
        del sys.modules[name]
    sys.meta_path.insert(0, Hidden(hidden))
    if not torch:
        os.environ["PYTHONPATH"] = _folder_that_hides("torch")  # from child processes
    _without_linux_files()
    # An encoding that opclock does not name is an error: Windows has its own default. The readers above are __main__.
    warnings.filterwarnings("error", category=EncodingWarning, module=r"__main__|opclock\b")
    sys.platform = system
    platform.system = lambda: SYSTEMS[system]


def run(arguments: list[str]) -> dict[str, object]:
    """One command, as in a terminal."""
    from opclock.cli.main import main

    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = "raised"
            traceback.print_exc()
    return {"code": code, "out": out.getvalue(), "errors": errors.getvalue()}


if __name__ == "__main__":
    move_to(sys.argv[1], torch="torch" in sys.argv[2:])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
