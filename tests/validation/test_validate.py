"""A small model validated for real: every number is there, and they agree."""

from __future__ import annotations

import pytest
import torch
from small_model import Classifier

from opclock.estimation.estimate import estimate
from opclock.estimation.models_in_profile import estimates
from opclock.models.loading import Model
from opclock.validation.validate import validate, validate_model

pytestmark = pytest.mark.usefixtures("short_sampling")


@pytest.fixture
def small():
    return Classifier().eval(), (torch.randn(1, 3, 16, 16),)


def test_explanation_of_a_validation(small, profile):
    row = validate_model(Model("small", *small), profile, threads=1, explain=True)
    explanation = row.explanation
    assert explanation.condition_s + explanation.host_s + explanation.left_s == pytest.approx(explanation.residual_s)
    assert explanation.residual_s == pytest.approx(row.estimate.total_s - row.reference.median_s)
    table = explanation.by_class()
    assert table["estimate_s"].sum() == pytest.approx(row.estimate.total_s)
    assert table["replay_s"].sum() == pytest.approx(explanation.replay_s)
    assert (table["observed_s"] > 0).all()
    known = validate_model(Model("small", *small), profile, threads=1, explain=True)
    assert known.explanation is None  # nothing was timed in the same turns
    (found,) = estimates(profile)  # without the trace: the pool knows the model
    assert (found.model, [part.module for part in found.parts]) == (
        "small",
        [part.module for part in row.estimate.parts],
    )
    usual = estimate(row.trace, profile, threads=1)  # for the usual state of all pools, not for that of the session
    assert found.total_s == pytest.approx(usual.total_s)


def test_validation_has_every_number(small, profile):
    models = [Model(name, Classifier().eval(), small[1]) for name in ("a", "b", "c")]
    data = validate(models, profile, threads=1).to_json()
    assert data["schema"] == "opclock.validation/1"
    assert list(data["rows"][0]) == [
        "model", "input", "dtype", "device", "threads", "params", "macs", "macs_thop", "op_calls", "unique_op_calls",
        "reference", "estimate", "error", "compatible", "page_fault_error", "baselines", "measure_s", "flags",
        "unknown",
    ]  # fmt: skip
    for row in data["rows"]:
        assert row["error"] == pytest.approx(row["estimate"]["total_s"] / row["reference"]["median_s"] - 1)
        assert list(row["baselines"]) == ["back_to_back", "mac_kernels_only", "roofline", "mac_regression"]
        assert row["baselines"].pop("mac_regression")["total_s"] is None  # three models of equal MACs make no line
        assert all(baseline["total_s"] > 0 for baseline in row["baselines"].values())
    assert set(data["summary"]) == {
        "models", "left_out", "mape", "within_5pct", "within_10pct", "max_abs_error", "baselines", "repeat_mape",
        "spearman_macs", "kendall_macs",
    }  # fmt: skip
    assert data["rows"][1]["measure_s"] == 0  # the second of three equal models is in the profile already
