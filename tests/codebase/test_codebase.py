"""Rules of the house as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import opclock
from opclock.extension import load_core

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "opclock"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_print_and_exit_live_in_cli_alone():
    for path in SOURCES:
        if "cli" not in path.parts:
            names = {node.func.id for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
            assert not names & {"print", "exit", "quit"}, path


def test_pybind_in_bindings_and_torch_in_aten_alone():
    for path in (ROOT / "csrc").rglob("*.[ch]pp"):
        text = path.read_text()
        assert ("pybind11" in text) <= ("bindings" in path.parts), path
        torch = re.search(r"#include <(ATen|c10|torch)/", text) is not None
        assert torch <= ("aten" in path.parts), path


def test_few_compilations_with_aten_headers():
    """A board compiles them one after the other, in memory for one."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    groups = [files.split() for files in re.findall(r"^ *set\(\w+ ([^)]*/aten/[^)]*)\)", text, re.MULTILINE)]
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob("**/aten/*.cpp")]
    assert sorted(chain(*groups)) == sorted(files)
    assert text.count("UNITY_GROUP") == len(groups)
    assert len(groups) <= 3


def test_one_version():
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["version"]
    assert opclock.__version__ == wanted
    assert load_core().__version__ == wanted
    assert f"## {wanted}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_pickle():
    for path in SOURCES:
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill|shelve)", path.read_text(), re.MULTILINE), path
        for line in path.read_text().splitlines():
            assert "torch.load(" not in line or "weights_only=True" in line, path


def test_public_names_are_documented():
    for name in opclock.__all__:
        assert name == "__version__" or getattr(opclock, name).__doc__, name


def test_no_module_hides_a_public_name():
    modules = {path.stem if path.stem != "__init__" else path.parent.name for path in PACKAGE.glob("*.py")}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert not set(opclock.__all__) & (modules | packages)


def test_estimating_imports_no_torch_and_no_compiled_part():
    code = (
        "import sys\n"
        "import opclock.estimation.estimate, opclock.profiles.profile, opclock.tracing.trace, opclock.tracing.macs\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert not {'opclock._core', 'opclock._aten'} & set(sys.modules), 'compiled'\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_architecture_is_short():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 80


def test_dependencies_stand_with_their_reasons():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    wanted = {*data["project"]["dependencies"], *chain(*data["project"]["optional-dependencies"].values()),
              *chain(*data["dependency-groups"].values())}  # fmt: skip
    lines = text.splitlines()
    for requirement in wanted:
        places = [number for number, line in enumerate(lines) if f'"{requirement}"' in line]
        # Beside it, or above a list of one.
        assert any("#" in lines[place] or lines[place - 1].startswith("#") for place in places), requirement


def test_one_range_of_pythons():
    """What pyproject.toml requires, names and builds wheels for is the same."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        data = tomllib.load(file)
    versions = [line.rpartition(" ")[2] for line in data["project"]["classifiers"] if " :: Python :: 3." in line]
    assert data["project"]["requires-python"] == f">={versions[0]}"
    assert data["tool"]["ruff"]["target-version"] == f"py{versions[0].replace('.', '')}"
    assert data["tool"]["cibuildwheel"]["build"].split() == [f"cp{version.replace('.', '')}-*" for version in versions]
