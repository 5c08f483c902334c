"""Two estimates compared module by module: kernels, quantising and dequantising, host."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from opclock.errors import EstimateError, OptionError
from opclock.estimation.estimate_comparison import EstimateComparison, Seconds, by_module
from opclock.estimation.estimate_file import document, read_estimate
from opclock.estimation.result import AFTER_LAST, Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.report.estimate_comparison_tables import module_table, summary

US = 1e-6


def estimate(model, *parts, tail_s=1 * US, width=0.02):
    """An estimate of (module, operator class, microseconds of the kernel, microseconds of the host)."""
    made = tuple(
        Part(number, module, "aten::any", operator_class, 0, kernel_us * US, host_us * US)
        for number, (module, operator_class, kernel_us, host_us) in enumerate(parts)
    )
    total_s = sum(part.kernel_s + part.host_s for part in made) + tail_s
    ends = total_s * (1 - width), total_s * (1 + width)
    return Estimate(model, Setting(1, "cpu", "float32"), total_s, *ends, made, tail_s, Coverage(1, 0, 0), ())


FLOAT = estimate("float32", ("features.0.0", "convolution", 100, 2), ("features.0.1", "normalisation", 20, 2),
                 ("head", "gemm", 30, 2))  # fmt: skip
INT8 = estimate("int8", ("quant", "quantisation", 15, 4), ("features.0.0", "convolution", 40, 6),
                ("head", "gemm", 20, 5), ("", "quantisation", 5, 2))  # fmt: skip


def test_times_are_split_into_kernels_quantisation_and_host():
    modules = by_module(INT8, 1)
    assert list(modules) == ["quant", "features", "head", "", AFTER_LAST]
    assert modules["quant"] == pytest.approx((0.0, 15 * US, 4 * US))
    assert modules["features"] == pytest.approx((40 * US, 0.0, 6 * US))
    assert modules[AFTER_LAST] == (0.0, 0.0, 1 * US)
    assert sum(seconds.total_s for seconds in modules.values()) == pytest.approx(INT8.total_s)


def test_what_got_slower_comes_first_and_the_changes_add_up():
    comparison = EstimateComparison(FLOAT, INT8, 2)
    rows = {row.module: row for row in comparison.modules}
    assert list(rows) == ["quant", "", AFTER_LAST, "head", "features.0"]
    assert rows["quant"].first == Seconds()
    assert rows["features.0"].change == pytest.approx((-80 * US, 0.0, 2 * US))
    assert comparison.whole.change == pytest.approx((-90 * US, 20 * US, 11 * US))
    assert comparison.whole.change.total_s == pytest.approx(comparison.change_s)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (INT8, "faster"),
        (FLOAT, "undecided"),
        (estimate("slow", ("head", "gemm", 500, 2)), "slower"),
        (replace(INT8, flags=("contended",)), "undecided"),
        (replace(INT8, flags=("host_by_table",)), "faster"),
    ],
)
def test_a_verdict_needs_an_interval_beside_0_and_reliable_estimates(second, verdict):
    assert EstimateComparison(FLOAT, second, 2).verdict == verdict


def test_models_that_quantise_nothing_have_no_column_for_it():
    """It was a column of zeros."""
    without, with_it = (EstimateComparison(FLOAT, second, 2) for second in (FLOAT, INT8))
    names = [[column.name for column in module_table(one).columns] for one in (without, with_it)]
    assert [any(name.startswith("quantisation") for name in shown) for shown in names] == [False, True]
    assert "quantising" not in summary(without)
    assert "quantising" in summary(with_it)


def test_an_estimate_is_the_same_from_its_file(tmp_path):
    given = replace(INT8, flags=("host_by_table",), unknown=("aten::any()",), uncounted_operators=("my::op",))
    path = tmp_path / "int8.json"
    path.write_text(json.dumps(document(given)), encoding="utf-8")
    assert read_estimate(path) == given


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "not an estimate"),
        ('{"schema": "opclock.trace/1"}', "schema 'opclock.trace/1'"),
        ('{"schema": "opclock.estimate/1"}', "earlier opclock"),
        ('{"schema": "opclock.estimate/1", "parts": []}', "damaged"),
    ],
)
def test_another_file_is_named_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EstimateError, match=rf"other\.json.*{said}.*estimate MODEL --json FILE"):
        read_estimate(path)


def test_a_negative_depth_is_refused():
    with pytest.raises(OptionError, match="depth=-1"):
        by_module(INT8, -1)


@pytest.mark.parametrize("change", [{"total_s": "x"}, {"ci_low_s": None}, {"host_tail_s": True}, {"part": "x"}])
def test_a_file_with_something_else_for_a_number_is_damaged(tmp_path, change):
    """Text for the total ended in a traceback."""
    data = document(FLOAT)
    if "part" in change:
        data["parts"][0]["host_s"] = change["part"]
    else:
        data |= change
    (tmp_path / "e.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(EstimateError, match=r"damaged estimate .* is no number"):
        read_estimate(tmp_path / "e.json")
