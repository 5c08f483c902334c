"""Other operators in place of a trace's."""

from __future__ import annotations

import json

import pytest
from helpers import chain, filled, opclock

from opclock.errors import OptionError, TraceError
from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_key
from opclock.profiles.profile import Profile
from opclock.tracing.trace import Trace


def test_only_the_named_operator_is_replaced():
    traced = chain("gelu", "conv2d", "gelu", "tanh")
    changed = traced.replace({"aten::gelu": "aten::relu"})
    assert [one.call.operator for one in changed.calls] == ["aten::relu", "aten::conv2d", "aten::relu", "aten::tanh"]
    assert changed.calls[0].outputs == traced.calls[0].outputs
    assert changed.model == "chain with aten::relu for aten::gelu"
    assert traced.calls[0].call.operator == "aten::gelu"


def test_a_replaced_call_has_the_key_under_which_the_new_operator_is_measured():
    wanted = {one.call.key for one in chain("relu").calls}
    assert {one.call.key for one in chain("gelu").replace({"aten::gelu": "aten::relu"}).calls} == wanted


def test_a_changed_trace_is_saved_whole(tmp_path):
    changed = chain("gelu", "tanh").replace({"aten::gelu": "aten::relu"})
    changed.save(tmp_path / "changed.json")
    assert Trace.load(tmp_path / "changed.json") == changed


def test_the_host_work_stays_the_recorded_one(profile_path):
    traced = chain("gelu", "conv2d")
    filled(profile_path, traced, {"gelu": 5e-5, "conv2d": 1e-4}, host_s=7e-6)
    filled(profile_path, chain("relu"), {"relu": 1e-5}, host_s=1e-3)  # the table by kind of call would say this
    changed = traced.replace({"aten::gelu": "aten::relu"})
    assert host_key(changed) == host_key(traced)
    with Profile.open(profile_path) as profile:
        first, second = (estimate(one, profile, threads=2) for one in (traced, changed))
    assert second.host_s == pytest.approx(first.host_s)
    assert first.total_s - second.total_s == pytest.approx(4e-5)


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        ({"aten::silu": "aten::relu"}, "does not call 'aten::silu'"),
        ({"aten::conv2d": "aten::relu"}, "'aten::conv2d' cannot be replaced"),
        ({"aten::gelu": "aten::softmax"}, "'aten::softmax' cannot be replaced"),
        ({"aten::gelu": "aten::add"}, "takes 1"),
        ({"aten::gelu": "aten::relu_"}, "try aten::relu"),
        ({"aten::gelu": "mine::relu"}, "'mine::relu' cannot be replaced"),
    ],
)
def test_what_cannot_be_replaced_is_refused(operators, words):
    with pytest.raises(TraceError, match=words):
        chain("gelu", "conv2d").replace(operators)


def test_no_mapping_is_refused():
    with pytest.raises(OptionError, match="operators="):
        chain("gelu").replace([("aten::gelu", "aten::relu")])


def test_the_command_shows_both_and_the_difference_by_class(profile_path, tmp_path):
    traced = chain("gelu", "conv2d")
    filled(profile_path, traced, {"gelu": 5e-5, "conv2d": 1e-4})
    filled(profile_path, chain("relu"), {"relu": 1e-5})
    traced.save(tmp_path / "chain.json")
    arguments = ("estimate", tmp_path / "chain.json", "--profile", profile_path, "--threads", "2")
    done = opclock(*arguments, "--replace", "aten::gelu=aten::relu")
    assert done.returncode == 0, done.stderr
    assert "chain with aten::relu for aten::gelu" in done.stdout
    row = next(line for line in done.stdout.split("before")[1].splitlines() if line.startswith("activation"))
    assert row.split()[1:] == ["50.0", "10.0", "-40.0"]
    both = json.loads(opclock(*arguments, "--replace", "aten::gelu=aten::relu", "--json", "-").stdout)
    assert both["total_s"] - both["changed"]["total_s"] == pytest.approx(4e-5)
    wrong = opclock(*arguments, "--replace", "aten::gelu")
    assert (wrong.returncode, "write OLD=NEW" in wrong.stderr) == (2, True)
