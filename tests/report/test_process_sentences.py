"""What an estimate and a validation say about several processes."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import validation_row

from opclock.profiles.processes import ProcessTimes
from opclock.report.process_sentences import of_estimate, of_validation
from opclock.timing.reference import Reference
from opclock.timing.runs import RunSamples


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
            "3 processes: 5.00 ms to 5.20 ms; the interval holds their spread, more narrow it",
        ),
        (
            (took(8.1, 3500), took(7.2), took(8.1, 3500)),
            "page faults decide: 2 of 3 processes take 8.10 ms with 3.50 k page faults; "
            "1 takes 7.20 ms with no page faults",
        ),
    ],
)
def test_several_processes_are_one_sentence(processes, sentence):
    assert of_estimate(processes) == sentence


def reference(*processes):
    """Real inference that took so many milliseconds with so many page faults, by process."""
    blocks = np.repeat(np.arange(6), 3)

    def half():
        return [
            RunSamples(np.full(18, milliseconds / 1e3), blocks, np.full(18, faults))
            for milliseconds, faults in processes
        ]

    return Reference.joined([Reference((first, second)) for first, second in zip(half(), half(), strict=True)])


def row(kernels, references):
    """A validation whose kernels took as long as these processes."""
    one = validation_row("densenet", 64, 1.0, sum(each.median_s for each in kernels) / len(kernels))
    return replace(one, reference=reference(*references), estimate=replace(one.estimate, processes=kernels))


def test_a_reference_shows_its_processes_and_its_interval_holds_them():
    """Three estimates missed by 7 to 15 %, and nobody was told that one reference process took more page faults."""
    found = reference((46.7, 5000), (48.1, 5200), (54.3, 13900))
    assert [one.median_s for one in found.process_times] == pytest.approx([0.0467, 0.0481, 0.0543])
    low, high = found.interval_s
    assert low < 0.0467 < 0.0543 < high
    assert found.process_spread == pytest.approx((54.3 - 46.7) / 49.7)
    assert found.repeat_error == pytest.approx(np.std([46.7, 48.1, 54.3], ddof=1) * np.sqrt(2 / 3) / 49.7)
    assert [one["faults"] for one in found.to_json()["processes"]] == [5000, 5200, 13900]


def test_a_validation_names_the_processes_whose_page_faults_decide():
    kernels = (took(45.8, 2900), took(46.1, 3200), took(46.6, 3700))
    assert of_validation(row(kernels, [(46.7, 3800), (48.1, 3900), (54.3, 10000)])) == (
        "page faults decide: 1 process with the model takes 54.3 ms with 10.0 k page faults; "
        "3 processes with kernels and 2 processes with the model take 46.7 ms with 3.50 k page faults"
    )


def test_without_that_it_says_how_far_the_processes_lie_apart():
    kernels, references = (took(45.8, 3000), took(46.6, 3000)), [(46.0, 3000), (47.0, 3000)]
    assert of_validation(row(kernels, references)) == (
        "kernels in 2 processes: 45.8 ms to 46.6 ms; the model in 2 processes: 46.0 ms to 47.0 ms, 2.2 % apart"
    )
    assert of_validation(validation_row("one", 64, 1.0, 1.0)) == ""


def test_an_estimate_outside_the_references_interval_may_be_compatible_with_it():
    near, far = (validation_row("m", 64, 1.0, 1.0 + off) for off in (0.015, 0.05))
    assert near.compatible
    assert not far.compatible
