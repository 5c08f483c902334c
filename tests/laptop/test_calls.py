"""Calls that only some systems have stand in few places, where reading a profile never comes by."""

from __future__ import annotations

import ast
from pathlib import Path

import opclock

PACKAGE = Path(opclock.__file__).parent
# With the reason why they may: they run on the board, or ask first whether the system has the call.
ALLOWED = {
    "board/system.py": "asks first",
    "board/pages.py": "asks first",
    "board/contention.py": "reads only what it found in /proc",
    "farm/child.py": "jobs on the board",
    "farm/settings.py": "goes on where the system lacks it",
    "gating/checkouts.py": "gates run on the board",
    "children/lifeline.py": "asks first",
    "children/process.py": "child processes, timed on the board",
    "children/serving.py": "child processes, timed on the board",
    "timing/weight_memory.py": "memory of timed calls",
    "models/process_state.py": "asks first",
    "studies/unfinished.py": "studies measure on the board",
}
CALLS = {
    "os": {"sched_getaffinity", "sched_setaffinity", "getloadavg", "killpg", "setsid", "fork", "getuid", "geteuid",
           "uname", "sysconf", "nice", "getpgid", "mkfifo", "pread", "pwrite", "posix_fadvise"},
    "signal": {"SIGKILL", "SIGALRM", "SIGUSR1", "SIGHUP", "alarm", "setitimer", "pthread_kill", "pthread_sigmask"},
    "mmap": {"MAP_ANONYMOUS", "MAP_PRIVATE", "MAP_SHARED"},
    "time": {"clock_gettime", "clock_gettime_ns", "CLOCK_MONOTONIC_RAW", "clock_getres"},
    "select": {"select", "poll", "epoll"},
}  # fmt: skip
MODULES = {"fcntl", "resource", "termios", "pwd", "grp", "pty", "tty", "syslog"}


def posix_only(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in CALLS.get(node.value.id, ()):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if node.module in MODULES:
                yield node.module
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if alias.name in CALLS.get(node.module, ())
            )


def test_calls_of_one_system_stand_where_they_may():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if names := set(posix_only(ast.parse(path.read_text(encoding="utf-8")))):
            found[path.relative_to(PACKAGE).as_posix()] = names
    assert set(found) == set(ALLOWED), found
