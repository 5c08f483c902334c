"""The cores that are really there: OpenMP's variables, and a container's CPU quota."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from control_groups import V1, V2, groups

from opclock.board import cores
from opclock.board.cores import beyond_quota, default_threads
from opclock.board.quota import cpu_quota
from opclock.board.system import openmp_binding

several = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores and affinity"
)
BINDINGS = ({"OMP_PROC_BIND": "true"}, {"OMP_PLACES": "cores"}, {"GOMP_CPU_AFFINITY": "0"}, {"KMP_AFFINITY": "compact"})
SEEN = """
import json, os, subprocess, sys
{imports}
from opclock.board.cores import default_threads
from opclock.board.identity import read_board
from opclock.board.system import all_cores, allowed_cores
torch.ones(1 << 20).add(1)
with all_cores():
    child = subprocess.check_output([sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"], text=True)
inherited = [int(core) for core in child.split()]
print(json.dumps([list(allowed_cores()), default_threads(), read_board().identity, inherited]))
"""


def seen(variables, imports="import opclock, torch"):
    """What a fresh process sees: its cores, the default threads, the board, and the cores of a child of its own."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    finished = subprocess.run([sys.executable, "-c", SEEN.format(imports=imports)], env=clean | variables, text=True,
                              capture_output=True, check=True)  # fmt: skip
    return json.loads(finished.stdout.splitlines()[-1])


@several
def test_openmp_s_variables_take_no_core_away_and_make_no_other_board():
    pytest.importorskip("torch")
    free = seen({})
    assert free[0] == free[3] == sorted(os.sched_getaffinity(0))
    for variables in BINDINGS:
        assert seen(variables) == free, variables


@several
def test_cores_are_found_where_torch_was_imported_before_opclock():
    pytest.importorskip("torch")
    assert seen({"OMP_PROC_BIND": "true"}, "import torch, opclock") == seen({})


def test_variables_that_bind_nothing(monkeypatch):
    for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    assert openmp_binding() == {"OMP_PROC_BIND": "close"}
    monkeypatch.setenv("OMP_PROC_BIND", "FALSE")
    monkeypatch.setenv("OMP_PLACES", "cores")  # without effect
    assert openmp_binding() == {}
    monkeypatch.delenv("OMP_PROC_BIND")
    monkeypatch.setenv("OMP_PLACES", "")
    monkeypatch.setenv("KMP_AFFINITY", "disabled")
    assert openmp_binding() == {}


def test_a_quota_of_version_2_is_the_smallest_along_the_path(tmp_path):
    files = {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n", "a/b/c/cpu.max": "300000 100000\n",
             "cpu.max": "400000 100000\n", "other/cpu.max": "1000 100000\n"}  # fmt: skip
    assert cpu_quota(groups(tmp_path, "0::/a/b/c\n", V2, **files)) == 1.5


def test_a_quota_of_version_1_also_where_the_container_sees_only_its_own_group(tmp_path):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    own = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n"
    assert (
        cpu_quota(groups(tmp_path / "part", own, V1.format(top="/docker/abc", controllers="cpu,cpuacct"), **files))
        == 0.5
    )
    assert cpu_quota(groups(tmp_path / "whole", own, V1.format(top="/", controllers="cpu,cpuacct"), **files)) == 0.5


@pytest.mark.parametrize("limit", ["max 100000", "", "nonsense", "100000 0"])
def test_no_quota(tmp_path, limit):
    assert cpu_quota(groups(tmp_path, "0::/\n", V2, **{"cpu.max": limit})) is None
    assert cpu_quota(tmp_path / "nowhere") is None


def test_threads_by_default_stay_within_the_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "allowed_cores", lambda: (0, 1, 2, 3))
    for limit, threads in (("250000", 2), ("50000", 1), ("900000", 4), ("max", 4)):
        root = groups(tmp_path / limit, "0::/\n", V2, **{"cpu.max": f"{limit} 100000"})
        assert default_threads(root) == threads
    assert "2.5 cores" in beyond_quota(3, tmp_path / "250000")
    assert beyond_quota(2, tmp_path / "250000") == ""
