"""How many runs warm a block up, by a scripted clock."""

import pytest

from opclock.timing import block_warm_up
from opclock.timing.block_warm_up import BlockWarmUp


class Scripted:
    """A clock that only runs of the model and other work move."""

    def __init__(self, monkeypatch):
        self.now_s = 0.0
        self.runs = 0
        monkeypatch.setattr(block_warm_up.time, "perf_counter", lambda: self.now_s)

    def run(self, seconds):
        def once():
            self.now_s += seconds
            self.runs += 1

        return once


@pytest.mark.parametrize(
    ("other_work_s", "run_s", "runs"),
    [
        (0.0, 0.01, 1),  # the block before has only just ended
        (0.035, 0.01, 4),  # as long as the other work
        (60.0, 0.02, 5),  # but for 0.1 s
        (60.0, 0.001, 10),  # and ten runs
        (60.0, 3.0, 1),
    ],
)
def test_a_block_is_warmed_up_for_as_long_as_other_work_ran(monkeypatch, other_work_s, run_s, runs):
    clock = Scripted(monkeypatch)
    warm_up = BlockWarmUp()
    warm_up.block_ended()
    clock.now_s += other_work_s
    warm_up.run(clock.run(run_s))
    assert clock.runs == runs


def test_work_before_the_first_block_counts_too(monkeypatch):
    clock = Scripted(monkeypatch)
    warm_up = BlockWarmUp()
    clock.now_s += 0.045
    warm_up.run(clock.run(0.01))
    assert clock.runs == 5
