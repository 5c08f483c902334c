"""The files that bad uses meet, good and bad, and whether they are as before."""

from __future__ import annotations

import hashlib
import random
import stat
from pathlib import Path

from benchmarks.fuzz.running import quiet

MODELS = """
import sys, torch
from torch import nn
class Raises(nn.Module):
    def __init__(self, what): super().__init__(); self.what = what
    def forward(self, x): raise self.what
class Odd(nn.Module):
    def __init__(self, act): super().__init__(); self.act = act
    def forward(self, x): return self.act(x)
X = (torch.randn(2, 3),)
def fine(): return nn.Linear(3, 2), X
def raises(): return Raises(ValueError("bad\\nvalue")), X
def keyboard(): raise RuntimeError("x" * 5000)
def unicode(): return Raises(RuntimeError("\\udc80 \\u00b5 \\x1b[31m")), X
def key(): return Raises(KeyError(3)), X
def stops(): return Raises(StopIteration()), X
def asserts(): assert False
def exits(): sys.exit(3)
def memory(): return Raises(MemoryError()), X
def system(): return Raises(OSError(28, "No space left on device")), X
def recursion(): return recursion()
def none(): return None
def empty(): return ()
def triple(): return 1, 2, 3
def nothing(): return nn.Identity(), X
def strings(): return nn.Linear(3, 2), ("a", "b")
def shapes(): return nn.Linear(3, 2), (torch.randn(2, 5),)
def needs(argument): return nn.Linear(3, 2), X
def list_out(): return Odd(lambda x: [x + 1, {"a": x * 2}]), X
def item(): return Odd(lambda x: x * float(x.sum().item())), X
def control(): return Odd(lambda x: x + 1 if x.sum() > 0 else x - 1), X
def numpy(): return Odd(lambda x: torch.from_numpy(x.numpy() + 1)), X
def text(): return Odd(lambda x: "text"), X
def nan(): return Odd(lambda x: x * float("nan")), X
def infinite(): return Odd(lambda x: x.clamp(max=float("inf"))), X
def zero(): return nn.Linear(3, 2), (torch.randn(0, 3),)
value = 3
"""
FACTORIES = [line.split()[1].partition("(")[0] for line in MODELS.splitlines() if line.startswith("def ")]


def make_files(path: Path) -> None:
    """Fill a folder with files of every kind, good and bad."""
    (path / "models.py").write_text(MODELS, encoding="utf-8")
    (path / "broken.py").write_text("def broken(:\n", encoding="utf-8")
    (path / "raises.py").write_text("raise RuntimeError('import')\n", encoding="utf-8")
    quiet(["trace", f"{path}/models.py:fine", "--json", f"{path}/trace.json"])
    whole = (path / "trace.json").read_bytes()
    (path / "cut.json").write_bytes(whole[: len(whole) // 2])
    (path / "keyless.json").write_bytes(whole.replace(b'"reads"', b'"rates"'))
    (path / "wrong.json").write_bytes(whole.replace(b'"shape"', b'"shapes"'))
    (path / "other.json").write_text('{"schema": "other/1"}', encoding="utf-8")
    (path / "list.json").write_text("[1, 2]", encoding="utf-8")
    (path / "deep.json").write_text("[" * 5000, encoding="utf-8")
    (path / "empty").write_bytes(b"")
    (path / "noise.sqlite").write_bytes(random.Random(0).randbytes(5000))
    (path / "text.txt").write_text("what was there\n", encoding="utf-8")
    (path / "link").symlink_to("text.txt")
    (path / "dangling").symlink_to("nothing/there")
    (path / "circle").symlink_to("circle")
    (path / "folder").mkdir()
    quiet(["measure", f"{path}/models.py:fine", "--threads", "1", "--profile", f"{path}/good.sqlite"])
    profile = (path / "good.sqlite").read_bytes()
    (path / "cut.sqlite").write_bytes(profile[:3000])
    (path / "half.sqlite").write_bytes(profile[: len(profile) // 2])
    damaged = bytearray(profile)
    damaged[5000:9000] = bytes(4000)
    (path / "damaged.sqlite").write_bytes(damaged)


def digests(folder: Path) -> dict[str, str]:
    """By name: the kind, permissions and content of a file."""
    return {path.name: _digest(path) for path in sorted(folder.iterdir())}


def _digest(path: Path) -> str:
    found = path.lstat()
    content = b""
    if stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(found.st_mode):
        content = bytes(path.readlink())
    return f"{stat.filemode(found.st_mode)} {hashlib.sha256(content).hexdigest()}"
