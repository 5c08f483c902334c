"""The memory that is free for this process, also in a container with a limit."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from control_groups import V1, V2, groups

from opclock.board.memory import free_memory_bytes

GB = 1_000_000_000


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=64 * GB))


def test_without_control_groups_it_is_the_machine_s(tmp_path):
    assert free_memory_bytes(tmp_path) == 64 * GB


def test_a_container_s_limit_counts_where_it_is_nearer(tmp_path):
    """In a container with 8 GB on a machine with 64, 40 % of 64 GB were used, and the process was killed."""
    files = {"a/memory.max": f"{8 * GB}\n", "a/memory.current": f"{3 * GB}\n",
             "a/memory.stat": f"anon {2 * GB}\nactive_file {GB}\ninactive_file 0\nslab\n",
             "a/b/memory.max": "max\n", "a/b/memory.current": "5\n"}  # fmt: skip
    assert free_memory_bytes(groups(tmp_path, "0::/a/b\n", V2, **files)) == 6 * GB


def test_a_limit_of_version_1(tmp_path):
    files = {"memory/memory.limit_in_bytes": f"{4 * GB}\n", "memory/memory.usage_in_bytes": f"{3 * GB}\n",
             "memory/memory.stat": f"active_file 7\ntotal_active_file {GB}\ntotal_inactive_file {GB}\n"}  # fmt: skip
    root = groups(tmp_path, "3:memory:/docker/abc\n", V1.format(top="/docker/abc", controllers="memory"), **files)
    assert free_memory_bytes(root) == 3 * GB


def test_a_limit_above_the_machine_s_memory_changes_nothing(tmp_path):
    files = {"memory.max": f"{9 << 60}\n", "memory.current": "5\n"}
    assert free_memory_bytes(groups(tmp_path, "0::/\n", V2, **files)) == 64 * GB
