"""Rules of the house as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

import opclock
from opclock.extension import load_core

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "opclock"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Each layer may import from those after it, never from one before.
LAYERS = (
    ("cli",),
    ("report", "doctor", "comparison", "curation", "export"),
    ("bench", "batching", "crosscheck", "landscaping"),
    ("landscape",),
    ("contest",),
    ("bench_row",),
    ("runtimes",),
    ("validate", "sweeping"),
    ("turns",),
    ("measure", "graph_run"),
    ("baselines", "reference", "model", "zoo", "cifar", "explain"),
    ("sampling", "host"),
    ("estimate", "sweep_table"),
    ("predictor", "sweeps"),
    ("features", "device_lanes"),
    ("lanes", "choice", "dataflow"),
    ("answers",),
    ("arguments", "rewrites", "tracer", "ceilings"),
    ("host_table", "recording"),
    ("profile",),
    ("profile_reader", "schema"),
    ("board", "board_state", "measurement", "trace"),
    ("cores", "accelerator"),
    ("batch_curve", "condition", "macs", "operator_classes", "extension", "files", "progress", "version"),
    ("op",),
    ("errors",),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("opclock."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.ImportFrom) and node.module == "opclock":
            found |= {alias.name for alias in node.names}
    return found & set(RANK)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room.startswith("__"):
        return
    assert room in RANK, f"{room} has no place in LAYERS"
    for other in imports(path):
        if other == room or (room == "macs" and other == "trace"):  # macs counts traced calls: values only
            continue
        assert RANK[other] >= RANK[room], f"{room} imports {other}"


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
        assert torch <= ("aten" in path.parts or path.name == "aten.cpp"), path


def test_few_translation_units_with_aten_headers():
    units = [path for path in (ROOT / "csrc").rglob("*.cpp")
             if path.parent.name == "aten" or path.name == "aten.cpp"]  # fmt: skip
    assert len(units) <= 5


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


def test_verbs_are_not_hidden_by_their_modules():
    code = (
        "import opclock\n"
        "import opclock.profile, opclock.trace, opclock.estimate, opclock.measure\n"
        "import opclock.reference, opclock.validate\n"
        "from opclock.trace import Trace\n"
        "from opclock import trace\n"
        "verbs = (trace, opclock.trace, opclock.estimate, opclock.measure, opclock.reference, opclock.validate)\n"
        "assert all(map(callable, verbs)), verbs\n"
        "assert opclock.Trace is Trace\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_estimating_imports_no_torch_and_no_compiled_part():
    code = (
        "import sys\n"
        "import opclock.estimate, opclock.profile, opclock.trace, opclock.macs\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert not {'opclock._core', 'opclock._aten'} & set(sys.modules), 'compiled'\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_architecture_is_short():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 80


def test_dependencies_stand_with_their_reasons():
    lines = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("]")[0].strip().splitlines()
    assert lines
    assert all("#" in line for line in lines)
