"""What an estimate says about several processes."""

import pytest

from opclock.profiles.processes import ProcessTimes
from opclock.report.estimate_tables import processes_sentence


def took(milliseconds, faults=0):
    seconds = milliseconds / 1e3
    return ProcessTimes(seconds, (seconds * 0.99, seconds * 1.01), 20, faults)


@pytest.mark.parametrize(
    ("processes", "sentence"),
    [
        ((), ""),
        ((took(5),), ""),
        (
            (took(5.2), took(5), took(5.1)),
            "3 processes: 5.00 ms to 5.20 ms; the interval holds their spread, more processes narrow it",
        ),
        (
            (took(8.1, 3500), took(7.2), took(8.1, 3500)),
            "2 of 3 processes: 8.10 ms with 3.50 k page faults; 1: 7.20 ms with no page faults",
        ),
    ],
)
def test_several_processes_are_one_sentence(processes, sentence):
    assert processes_sentence(processes) == sentence
