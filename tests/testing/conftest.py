"""Sessions of pytest with the plugin."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from user_tests import NAME, Scripted

from opclock.testing import benchmark as benchmarks

PLUGIN = ["-p", "opclock.testing.plugin"]  # no other is loaded, nor this a second time


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Runs a file of tests in a session of its own. Returns the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text, *arguments, plugins=()):
        (tmp_path / f"{NAME}.py").write_text(text)
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\naddopts = --strict-markers --import-mode=importlib\nfilterwarnings = error\n"
        )
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
            code = pytest.main([*PLUGIN, "-p", "no:cacheprovider", *arguments], plugins=plugins)
        sys.modules.pop(NAME, None)  # the next file has the same name
        return int(code), out.getvalue()

    return run


@pytest.fixture
def measured(monkeypatch):
    scripted = Scripted()
    monkeypatch.setattr(benchmarks, "benchmark", scripted)
    return scripted
