"""Where the C library takes memory from, and when it gives it back. Page faults are counted, nothing is timed."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from opclock.flags import BY_FLAG
from opclock.timing.own_arena import in_own_arena

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has another allocator")

# Page faults of five passes, each of which takes, fills and frees blocks as a model does its activations. Imports no
# torch, so that a process takes 0.1 s.
COUNT = """
import ctypes, json, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def one_pass(sizes):
    blocks = [libc.malloc(size) for size in sizes]
    for block, size in zip(blocks, sizes):
        libc.memset(block, 1, size)
    for block in reversed(blocks):
        libc.free(block)
def faults(sizes):
    for _ in range(3):
        one_pass(sizes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        one_pass(sizes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
MIB = 1 << 20
print(json.dumps([faults([MIB] * 10), faults([3 * MIB] * 10), faults([40 * MIB])]))
"""
PAGES = [5 * 10 * 256, 5 * 30 * 256, 5 * 40 * 256]  # of 4 KiB, that those passes fill


def faults(**settings):
    """By kind of pass, with these settings and no other of the allocator."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    done = subprocess.run([sys.executable, "-I", "-c", COUNT], capture_output=True, text=True, check=True,
                          env={**kept, **settings})  # fmt: skip
    return json.loads(done.stdout)


def test_the_settings_that_the_flag_names_remove_the_page_faults():
    """One of them alone kept them all: MALLOC_TRIM_THRESHOLD_ alone leaves each block to the kernel."""
    named = dict(re.findall(r"(MALLOC_\w+)=(\S+)", BY_FLAG["layout"].remedy))
    assert len(named) == 2
    assert all(one > pages // 2 for one, pages in zip(faults(), PAGES, strict=True))
    assert all(
        one > pages // 2 for name in named for one, pages in zip(faults(**{name: named[name]}), PAGES, strict=True)
    )
    assert max(faults(**named)) < 100


def heap():
    """The addresses of the heap from which the main thread takes memory."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    lines = [line.split()[0].split("-") for line in maps if line.endswith("[heap]")]  # the kernel may divide it
    return range(min(int(begin, 16) for begin, _ in lines), max(int(end, 16) for _, end in lines))


def test_what_is_bound_in_its_own_arena_leaves_the_heap_of_the_model_alone():
    made = in_own_arena(lambda: [torch.ones(size) for size in (100, 1000, 10_000)])
    assert not any(tensor.data_ptr() in heap() for tensor in made)
    ctypes.CDLL(None).malloc_trim(0)
    assert [float(tensor.sum()) for tensor in made] == [100, 1000, 10_000]


def test_what_is_raised_there_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        in_own_arena(lambda: 1 / 0)
