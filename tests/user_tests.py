"""A test as users of the pytest plugin write it, and a stand-in for its timing."""

from __future__ import annotations

from helpers import validation_row

from opclock.board.identity import read_board
from opclock.profiles.profile import Profile
from opclock.testing.baseline import Slowdown
from opclock.testing.benchmark import Benchmark

NAME = "test_of_a_user"


ONE = """
def test_latency(opclock_bench):
    opclock_bench("a model", "its inputs")
"""


class Scripted:
    """In place of timing: how much slower than the baseline each call is, in turn."""

    def __init__(self):
        self.ratios = []
        self.doubt = ""
        self.machine, self.imprecise = 1.0, False
        self.asked = []  # the arguments of each call

    def __call__(self, model, inputs, **details):
        self.asked.append(details)
        row = validation_row("net", 8, 1e-3, 1e-3)
        slowdown = None
        if self.ratios:
            ratio = self.ratios.pop(0)
            slowdown = Slowdown(1e-3, ratio, ratio * 0.96, ratio * 1.04, self.doubt, self.machine, self.imprecise)
        with Profile.create_or_open(details["file"], read_board()):
            pass
        return Benchmark(details["name"], row.reference, row.estimate, (), slowdown)
