"""The numbers of an estimate on a processor with other vector instructions, for which libraries have other code."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from opclock import arithmetic

NUMBERS = """
import numpy as np
from opclock.estimation.page_faults import Cost
from opclock.prediction.class_model import Base, ClassModel, Spread
from opclock.prediction.features import Features
from opclock.prediction.forest import Forest
from opclock.profiles.machine_state import MachineState
from opclock.profiles.pool import FAULT
from opclock.profiles.processes import middle, middle_interval
from opclock.profiles.shift import Shift, mean_shift
from opclock.profiles.statistics import median_interval

class Rounds:
    def __init__(self, faults, processes, watching):
        self.faults, self.processes, self.watching = faults, processes, watching

random = np.random.default_rng(0)
leaf = Forest(0, np.zeros(1, "i4"), np.zeros(2, "i4"), np.zeros(1, "f4"), np.zeros(1, "i2"))
for _ in range(200):
    count = int(random.integers(20, 90))
    seconds = 1e-4 + 5e-5 * random.random(count)
    blocks, processes = np.arange(count) // 4, np.arange(count) % 3
    print(median_interval(seconds, blocks=blocks), median_interval(seconds))
    print(middle(seconds, processes), middle_interval(seconds, blocks=blocks, processes=processes))
    states = [MachineState.of_seconds({name: 1e-4 + 5e-5 * random.random(40) for name in "abcd"}) for _ in "12"]
    shift = states[0].to(states[1], 20)
    print(shift, shift.factor, shift.to_json(), shift.widened(1e-3, 2e-3, 3e-3))
    print(mean_shift(list(seconds[:5]), [shift, None, shift, shift, None]))
    faults = random.integers(0, 90, count).astype(float)
    print(Cost.of(Rounds(faults, processes, {FAULT: 5e-7 + 1e-7 * random.random(9)}), seconds + faults * 5e-7))
    leaf.value[0] = random.random()
    model = ClassModel(leaf, Spread(0.1, 0.1, 0.1, 0.2, 2.0), Base(1e-6), 1, ())
    print(model.predict([Features("relu", "activation", "activation", float(seconds[0]), (1.0,))]))
"""


def printed(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NUMBERS], env={**os.environ, **environment}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_digits_with_other_instructions():
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    features = import_module(f"{core}._multiarray_umath").__cpu_dispatch__
    fewer = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(features),
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable",
    }
    assert printed(**fewer) == printed()


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p"])
def test_rounding_keeps_twelve_digits(name):
    for value in np.random.default_rng(0).uniform(0.01, 3, 50).tolist():
        exact = getattr(np, name)(value)
        assert getattr(arithmetic, name)(value) == pytest.approx(float(exact), rel=1e-11)
        assert getattr(arithmetic, name)(value) == float(f"{exact:.12g}")
