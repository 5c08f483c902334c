"""How a runtime's answers are compared with eager PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

from opclock.benchmarking.worker.answers import differs

ONES = [np.ones((2, 3), dtype=np.float32)]
NAN, INF = np.nan, np.inf


def test_answers_are_judged_by_the_signal_and_not_by_the_constant_in_it():
    constant = [np.full((1, 4), 1000.0, dtype=np.float32)]
    off = [constant[0] + 0.5]
    assert differs(off, constant, [1000.0], "float32") == ""
    assert "differs from eager's by 5 of its signal" in differs(off, constant, [0.1], "float32")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "0 outputs, eager has 1"),
        ([np.ones((3, 2))], "has shape (3, 2), eager's has (2, 3)"),
        ([np.full((2, 3), np.nan)], "has NaN or infinities at other places than eager's: 6 of 6"),
    ],
)
def test_answers_of_another_kind_are_named(answers, words):
    assert words in differs(answers, ONES, [1.0], "float32")


def test_right_answers_pass_where_the_output_never_moves():
    assert differs(ONES, ONES, [0.0], "float32") == ""


@pytest.mark.parametrize(
    ("answer", "eager", "right"),
    [
        ([NAN, 1.0], [NAN, 1.0], True),
        ([0.0, 1.0], [NAN, 1.0], False),
        ([NAN, NAN], [NAN, 1.0], False),
        ([NAN, 9.0], [NAN, 1.0], False),
        ([INF, 1.0], [INF, 1.0], True),
        ([-INF, 1.0], [INF, 1.0], False),
        ([NAN, 1.0], [INF, 1.0], False),
        ([INF, INF], [INF, 1.0], False),
        ([NAN, NAN], [NAN, NAN], True),
    ],
)
def test_nan_in_eagers_answer_lets_no_other_answer_pass(answer, eager, right):
    assert (differs([np.array(answer)], [np.array(eager)], [1.0], "float32") == "") is right


def test_large_indices_that_differ_by_one_do_not_pass():
    eager = np.array([1_000_000, 2_000_000, 3])
    assert differs([eager.astype(np.int32)], [eager], [0.0], "float32") == ""
    said = differs([eager + np.array([0, 1, 0])], [eager], [1e9], "float32")
    assert "output 0 differs from eager's in 1 of 3 int64 values" in said
    assert "in 1 of 2 bool values" in differs([np.array([True, True])], [np.array([True, False])], [1.0], "float32")


def test_every_output_of_a_list_is_compared():
    pieces = [np.full(2, number, dtype=np.float32) for number in range(3)]
    assert differs(pieces, pieces, [1.0] * 3, "float32") == ""
    assert "output 2 differs" in differs([*pieces[:2], pieces[0]], pieces, [1.0] * 3, "float32")


def test_complex_answers_differ_in_their_imaginary_part():
    eager = np.array([1 + 1j])
    assert differs([eager], [eager], [1.0], "float32") == ""
    assert "differs" in differs([np.array([1 + 2j])], [eager], [1.0], "float32")
