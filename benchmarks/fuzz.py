"""Bad uses of the command line, made from seeds: each ends in one line, and damages nothing.

    python -m benchmarks.fuzz [--count 1000] [--first 0] [--processes 40] [--only SEED]

A use is a command with bad arguments, files, environment variables or a model that raises. Each must end with exit code
0, 1 or 2, without a traceback, code 2 with exactly one line that begins with "opclock: ", and every file that the
command did not have to write must be as before. Most run in this process; the first ones with environment variables run
in a process of their own. What fails is printed with its seed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opclock.cli.main import main

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
TEXTS = ["", " ", "-", "--", "-1", "0", "1e9", "nan", "inf", "1x", "x", "1x1x1", ",", ",,", ":", "1:2:0", "5:1", "0x3",
         "9" * 30, "1x" + "9" * 20, "é", "\udc80", "a\nb", "%s", "{}", "../..", "/", "~", "true", "None", "0.5",
         "1,2,x", "zoo:", "zoo:mobilenet", "torchvision:nothing", "no.such:thing", "x" * 300, "\x1b[31m"]  # fmt: skip
VARIABLES = {"COLUMNS": ["0", "-5", "x", "100000"], "TERM": ["dumb", ""], "NO_COLOR": ["1"],
             "OMP_NUM_THREADS": ["0", "x", "-1"], "OMP_PROC_BIND": ["true", "nonsense"], "OMP_PLACES": ["{0}", "x"],
             "GOMP_CPU_AFFINITY": ["0", "x"], "PYTHONIOENCODING": ["ascii", "latin-1"], "LC_ALL": ["C", "xx"],
             "HOME": ["/nowhere", ""], "TMPDIR": ["/nowhere"], "PYTHONUTF8": ["0"]}  # fmt: skip
DEEP = {"trace": 25, "estimate": 20, "profile": 12, "compare": 12, "validate": 6, "measure": 6}  # verb: how often
# Time these verbs in earnest takes long: every use of them has one argument that is surely bad.
SLOW = {"sweep": ["--threads", "0"], "ceilings": ["--threads", "-1"], "crosscheck": ["--nonsense"],
        "study": ["--nonsense"], "batch": ["--share", "7"], "bench": ["--runtime", "no-such"]}  # fmt: skip


@dataclass
class Use:
    """One command, and what may change by it."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    may_write: set[str] = field(default_factory=set)


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


def quiet(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command in this process. Returns its exit code and what it wrote to the two streams."""
    out, errors = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException as error:  # a bug in opclock
            return -1, out.getvalue(), errors.getvalue() + "".join(traceback.format_exception(error))
    return (code if isinstance(code, int) else 0 if code is None else 1), out.getvalue(), errors.getvalue()


def in_a_process(use: Use, folder: Path) -> tuple[int, str, str]:
    """Run a command as a terminal does."""
    done = subprocess.run(
        [sys.executable, "-m", "opclock", *use.arguments], cwd=folder, capture_output=True, timeout=300, check=False,
        env={**os.environ, **use.environment},
    )  # fmt: skip
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def bad_use(seed: int, names: list[str]) -> Use:
    """The bad use of this seed, in a folder with files of these names."""
    draw = random.Random(seed)
    verb = draw.choices([*DEEP, *SLOW], [*DEEP.values(), *[3] * len(SLOW)])[0]
    makers = {"estimate": _estimate, "trace": _trace, "profile": _profile, "compare": _compare, "validate": _real,
              "measure": _real}  # fmt: skip
    use = makers[verb](draw, names, verb) if verb in DEEP else Use([verb, *_rest(verb, draw, names), *SLOW[verb]])
    if draw.random() < 0.25:
        name = draw.choice(sorted(VARIABLES))
        use.environment[name] = draw.choice(VARIABLES[name])
    return use


def _target(draw: random.Random, names: list[str]) -> str:
    bad = ["/nowhere/x", "/dev/full", "/dev/null", "/proc/x", "/sys/x", "folder", "circle", "dangling", "", ".",
           "a" * 300, "text.txt/x", "good.sqlite"]  # fmt: skip
    return draw.choice([*bad, *(name for name in names if name.endswith("sqlite") and name != "noise.sqlite")])


def _model(draw: random.Random, names: list[str]) -> str:
    if draw.random() < 0.7:
        return f"models.py:{draw.choice(FACTORIES)}"
    return draw.choice([f"models.py:{draw.choice([*TEXTS, 'value', 'X'])}", draw.choice(names), draw.choice(TEXTS),
                        f"{draw.choice(names)}:{draw.choice(FACTORIES)}"])  # fmt: skip


def _real(draw: random.Random, names: list[str], verb: str) -> Use:
    """A verb that runs the model or its op calls: with every model, and with a file that cannot be written."""
    target = ["--json", _target(draw, names)] if draw.random() < 0.5 else []
    profile = ["--profile", draw.choice([name for name in names if "good" not in name])]
    written = {profile[1]} if profile[1] in ("empty", "damaged.sqlite", "half.sqlite") else set()
    return Use([verb, _model(draw, names), "--threads", "1", *target, *(profile if draw.random() < 0.5 else [])],
               may_write=written)  # fmt: skip


def _options(draw: random.Random, allowed: dict[str, list[str]], most: int = 2) -> list[str]:
    chosen: list[str] = []
    for option in draw.sample(sorted(allowed), min(len(allowed), draw.randint(0, most))):
        chosen += [option, draw.choice([*allowed[option] * 3, *TEXTS])] if allowed[option] else [option]
    return chosen


FLAG: list[str] = []


def _estimate(draw: random.Random, names: list[str], verb: str) -> Use:
    options = {
        "--input": ["1x3", "2x3,2x3"],
        "--dtype": ["float16", "int8"],
        "--threads": ["1"],
        "--real": FLAG,
        "--measured-only": FLAG,
        "--depth": ["0"],
        "--profile": names,
        "--device": ["cuda", "meta", "cpu:1"],
    }
    json = ["--json", _target(draw, names)] if draw.random() < 0.4 else []
    return Use(
        [verb, draw.choice([_model(draw, names), "trace.json", *_jsons(names)]), *_options(draw, options), *json]
    )


def _trace(draw: random.Random, names: list[str], verb: str) -> Use:
    options = {"--input": ["1x3", "2x3,2x3"], "--dtype": ["float16", "int8"], "--real": FLAG,
               "--device": ["cuda", "meta", "tpu"]}  # fmt: skip
    json = ["--json", _target(draw, names)] if draw.random() < 0.5 else []
    return Use([verb, _model(draw, names), *_options(draw, options), *json])


def _jsons(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".json")]


def _profile(draw: random.Random, names: list[str], verb: str) -> Use:
    action = draw.choice(["info", "merge", "prune", "nothing"])
    profiles = [name for name in names if name.endswith(".sqlite")]
    files = [draw.choice([*profiles * 2, *names, *TEXTS]) for _ in range(draw.randint(0, 3))]
    # A merge may write its first file and a prune its only one, if it is a profile.
    return Use([verb, action, *files], may_write=set(files[:1]) if action in ("merge", "prune") else set())


def _compare(draw: random.Random, names: list[str], verb: str) -> Use:
    return Use([verb, *(draw.choice([*["good.sqlite"] * 9, *names, *TEXTS]) for _ in range(draw.randint(1, 3))),
                *(["--json", _target(draw, names)] if draw.random() < 0.5 else [])])  # fmt: skip


def _rest(verb: str, draw: random.Random, names: list[str]) -> list[str]:
    if verb == "sweep":
        family = draw.choice(["gemm", "conv2d", "norm", "no-such", *TEXTS])
        sizes = [f"--{name}" for name in draw.sample(["m", "n", "k", "size", "channels", "dtype"], 3)]
        return [family, *(part for size in sizes for part in (size, draw.choice(["1", "99999999", *TEXTS])))]
    if verb == "study":
        return [draw.choice(["landscape", "hidden-costs", *TEXTS])]
    if verb in ("ceilings", "crosscheck"):
        return draw.sample([*TEXTS, "--roofline", "--model", "--profile"], draw.randint(0, 2))
    return [_model(draw, names), *_options(draw, {"--input": ["1x3"], "--profile": names, "--real": FLAG})]


def faults(use: Use, code: int, errors: str, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What is wrong with the end of a use."""
    if code not in (0, 1, 2):
        yield f"exit code {code}"
    if "Traceback" in errors:
        yield "traceback: " + errors.strip().splitlines()[-1][:200]
    lines = [line for line in errors.splitlines() if line.startswith("opclock: ")]
    if code == 2 and len(lines) != 1 and "Usage:" not in errors:
        yield f"{len(lines)} lines of complaint: {errors[-200:]!r}"
    for name, digest in before.items():
        if name not in use.may_write and after.get(name) != digest:
            yield f"{name} was {'changed' if name in after else 'removed'}"
    for name in set(after) - set(before):
        if name.endswith(".part") or name.startswith(".opclock"):
            yield f"{name} was left behind"


def run(use: Use, good: Path, *, process: bool) -> list[str]:
    """Run one use in a fresh copy of the folder. Returns what was wrong."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "files"
        shutil.copytree(good, folder, symlinks=True)
        before = digests(folder)
        if process:
            code, _, errors = in_a_process(use, folder)
        else:
            with contextlib.chdir(folder):
                code, _, errors = quiet(use.arguments)
        return list(faults(use, code, errors, before, digests(folder)))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="bad uses")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=40, help="how many of them run in a process of their own")
    parser.add_argument("--only", type=int, help="this seed alone, in a process of its own")
    return parser.parse_args(arguments)


def fuzz(arguments: list[str] | None = None) -> int:
    """Run all uses and print what was wrong. Returns the number of uses with a fault."""
    chosen = parse(arguments)
    seeds = range(chosen.first, chosen.first + chosen.count) if chosen.only is None else [chosen.only]
    left = 1 if chosen.only is not None else chosen.processes
    failed, verbs, start = 0, Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        good = Path(place)
        make_files(good)
        names = list(digests(good))
        for seed in seeds:
            use = bad_use(seed, names)
            process = left > 0 and (bool(use.environment) or chosen.only is not None)
            left -= process
            wrong = run(use, good, process=process)
            verbs[use.arguments[0]] += 1
            if wrong:
                failed += 1
                print(f"seed {seed}: opclock {' '.join(map(repr, use.arguments))} {use.environment or ''}")
                print("".join(f"  {one}\n" for one in wrong), end="", flush=True)
    print(f"{len(seeds)} bad uses in {time.monotonic() - start:.0f} s ({dict(verbs)}): {failed} with a fault")
    return failed


if __name__ == "__main__":
    sys.exit(1 if fuzz() else 0)
