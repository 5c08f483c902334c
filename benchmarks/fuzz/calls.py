"""Bad uses of the Python API: a public function with one or two wrong objects or values."""

from __future__ import annotations

import contextlib
import math
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import opclock
from benchmarks.fuzz.commands import Use

WRONG = ["None", "3", "-1", "0", "1.5", "10**30", "True", "math.nan", "math.inf", "'no'", "''", r"'a\0b'", r"'\udc80'",
         "b'x'", "[]", "[None]", "{}", "()", "iter(())", "object()", "math", "int", "lambda *_: None", "module",
         "model", "trace", "profile", "closed", "torch.zeros(2, 3)", "torch.float16", "'good.sqlite'", "'noise.sqlite'",
         "'text.txt'", "'folder'", "'circle'", "'trace.json'", "'models.py:raises'", "'cuda'", "'zoo:'"]  # fmt: skip
# Right arguments of each function. What takes long has one that is surely wrong.
RIGHT = {
    "trace": {"model": "module", "inputs": "inputs", "name": "'n'", "real": "None"},
    "measure": {"trace": "trace", "profile": "profile", "forward": "lambda: module(*inputs)", "threads": "1",
                "seed": "0", "max_s": "0.05", "progress": "lambda *_: None"},
    "estimate": {"trace": "trace", "profile": "profile", "threads": "1", "device": "None", "dtype": "None",
                 "timing": "'in_model'", "host": "True", "measured_only": "False"},
    "reference": {"model": "module", "inputs": "inputs", "blocks": "1", "threads": "1"},
    "validate": {"models": "[]", "profile": "profile", "threads": "1", "seed": "0", "explain": "False"},
    "sweep": {"family": "'gemm'", "device": "'nope'", "threads": "1", "profile": "profile", "seed": "0", "m": "8",
              "n": "8", "k": "8"},
    "bench": {"model": "'models.py:fine'", "runtimes": "['no-such']", "batch": "1", "batch_dim": "None",
              "input_text": "None", "weights": "None", "settings": "None", "folder": "None"},
    "load_model": {"text": "'models.py:fine'", "input_text": "None", "dtype": "'float32'", "device": "'cpu'",
                   "weights": "None"},
    "open_profile": {"path": "'new.sqlite'"},
    "Profile.open": {"path": "'good.sqlite'"},
    "Profile.edit": {"path": "'good.sqlite'"},
    "Trace.load": {"path": "'trace.json'"},
    "trace.save": {"path": "'new.json'"},
    "Settings": {"threads": "1", "precision": "'float32'"},
    "family": {"make": "print"},
}  # fmt: skip
MAY_WRITE = {"good.sqlite", "empty", "half.sqlite", "damaged.sqlite"}  # as profiles; SQLite cannot open the others


def bad_call(seed: int) -> Use:
    """The bad call of this seed."""
    draw = random.Random(seed)
    function = draw.choice(sorted(RIGHT))
    given = dict(RIGHT[function])
    for name in draw.sample(sorted(given), min(len(given), draw.choice([1, 1, 2]))):
        given[name] = draw.choice(WRONG)
    arguments = ", ".join(f"{name}={value}" for name, value in given.items())
    written = {"text.txt", "trace.json", "noise.sqlite"} if function == "trace.save" else MAY_WRITE
    home = "" if function == "trace.save" else "opclock."
    return Use([], call=f"{home}{function}({arguments})", may_write=written)


@contextmanager
def names() -> Iterator[dict[str, object]]:
    """What the source of a call may name, in a folder with files."""
    module, inputs = torch.nn.Linear(3, 2).eval(), (torch.randn(2, 3),)
    closed = opclock.Profile.open("good.sqlite")
    closed.close()
    shutil.copy("good.sqlite", "own.sqlite")
    with contextlib.closing(opclock.Profile.edit("own.sqlite")) as profile:
        yield {"opclock": opclock, "torch": torch, "math": math, "module": module, "inputs": inputs,
               "model": opclock.Model("linear", module, inputs), "trace": opclock.Trace.load("trace.json"),
               "profile": profile, "closed": closed}  # fmt: skip
