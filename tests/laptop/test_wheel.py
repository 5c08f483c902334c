"""Wheels without the compiled parts: when asked, and where there is no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("scikit_build_core")


def wheel(folder, **environment):
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "-w",
        folder,
        ROOT,
    ]
    subprocess.run(
        list(map(str, words)), check=True, capture_output=True, env={**os.environ, **environment}, timeout=300
    )
    (path,) = folder.glob("*.whl")
    return path.name, zipfile.ZipFile(path).namelist()


def compiled(names):
    return [name for name in names if name.startswith("opclock/") and name.endswith((".so", ".pyd"))]


def test_one_wheel_serves_every_system_when_asked(tmp_path):
    name, files = wheel(tmp_path, OPCLOCK_PURE="1")
    assert name.endswith("-py3-none-any.whl")
    assert not compiled(files)
    assert {"opclock/py.typed", "opclock/cli/main.py", "opclock/report/templates/style.css"} <= set(files)


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is compiled here")
def test_without_a_compiler_the_rest_is_installed(tmp_path):
    name, files = wheel(tmp_path, CXX=str(tmp_path / "no-compiler"))
    assert not name.endswith("-any.whl")  # a compiler may come: the next build must not take it for the pure one
    assert not compiled(files)
    assert "opclock/cli/main.py" in files
