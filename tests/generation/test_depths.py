"""The time of a token by depth: fits computed by hand, curves of made-up estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import chain, linear_trace

from opclock.errors import EstimateError
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.generation.depths import DepthCurve, Measured, fit


def measured(depth, seconds, trace, host_s=1.0):
    """One token at a depth, whose op calls take these seconds."""
    parts = tuple(
        Part(position, "", traced.call.operator, "other", 0, one, 0.0)
        for position, (traced, one) in enumerate(zip(trace.calls, seconds, strict=True))
    )
    total_s = sum(seconds) + host_s
    estimate = Estimate(
        "m", Setting(1, "cpu", "float32"), total_s, 0.9 * total_s, 1.1 * total_s, parts, host_s, Coverage(1, 0, 0), ()
    )
    return Measured(depth, trace, estimate)


def deeper(width):
    """Linear and ReLU; only their sizes depend on the width."""
    return linear_trace("m", width)


def test_what_does_not_depend_on_the_depth_is_the_mean():
    law = fit([0, 10, 20], [1.0, 3.0, 2.0], varies=False)
    assert (law.kind, law.at_zero_s) == ("constant", 2.0)
    assert law.seconds(np.array([0.0, 99.0])).tolist() == [2.0, 2.0]


def test_a_line_is_found_by_least_squares():
    law = fit([0, 10, 20], [1.0, 2.0, 3.0], varies=True)
    assert law.kind == "linear"
    assert (law.at_zero_s, law.slope_s) == pytest.approx((1.0, 0.1))
    assert law.seconds(np.array([15.0])) == pytest.approx([2.5])


def test_two_depths_are_a_line_and_one_is_constant():
    assert fit([0, 10], [1.0, 9.0], varies=True).kind == "linear"
    assert fit([5], [1.0], varies=True).kind == "constant"


def test_a_kernel_that_changes_is_a_step_in_the_middle_between_two_depths():
    law = fit([0, 10, 20, 40], [1.0, 1.0, 2.0, 2.0], varies=True)
    assert (law.kind, law.at_zero_s, law.slope_s, law.step_depth) == ("step", 1.0, 1.0, 15.0)
    assert law.seconds(np.array([15.0, 15.5])).tolist() == [1.0, 2.0]


def test_a_line_that_misses_by_little_is_no_step():
    assert fit([0, 10, 20], [1.0, 1.0, 1.04], varies=True).kind == "linear"


def test_the_curve_adds_up_constants_lines_and_the_host():
    at_0, at_10 = measured(0, [2.0, 1.0], deeper(8)), measured(10, [4.0, 2.0], deeper(16))
    curve = DepthCurve([at_10, at_0])
    assert curve.seconds([0, 5, 10]).tolist() == pytest.approx([4.0, 5.5, 7.0])
    assert curve.kinds == {"linear": 2}
    assert curve.by_role([5])["weights"].tolist() == pytest.approx([3.0])
    assert curve.by_role([5])["host"].tolist() == pytest.approx([1.0])
    same = DepthCurve([measured(0, [2.0, 1.0], deeper(8)), measured(10, [4.0, 2.0], deeper(8))])
    assert same.seconds([0, 10]).tolist() == pytest.approx([5.5, 5.5])
    assert same.kinds == {"constant": 2}


def test_the_misfit_is_what_the_curve_misses_at_a_depth_that_was_held_out():
    curve = DepthCurve([measured(0, [2.0, 1.0], deeper(8)), measured(10, [4.0, 2.0], deeper(16))])
    assert curve.misfit(measured(5, [2.0, 2.0], deeper(12))) == pytest.approx(5.5 / 5.0 - 1)


def test_where_the_operators_change_the_curve_has_two_pieces():
    before = [measured(0, [1.0], chain("relu")), measured(10, [1.0], chain("relu"))]
    after = [measured(20, [3.0, 1.0], chain("relu", "tanh"))]
    curve = DepthCurve([*before, *after])
    assert curve.seconds([0, 10, 15, 16, 20]).tolist() == [2.0, 2.0, 2.0, 5.0, 5.0]


def test_a_curve_needs_a_depth():
    with pytest.raises(EstimateError, match="no depth"):
        DepthCurve([])


def test_unknown_op_calls_take_no_time():
    one = measured(0, [1.0], chain("relu"))
    parts = tuple(replace(part, kernel_s=None) for part in one.estimate.parts)
    assert Measured(0, one.trace, replace(one.estimate, parts=parts)).seconds == [0.0, 1.0]
