"""A host measured with other code is not taken for the model's; one whose code is not known is, and that is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import chain, filled

from opclock.errors import TraceError
from opclock.estimation.estimate import estimate
from opclock.estimation.host_keys import host_key, split_key
from opclock.estimation.models_in_profile import estimates
from opclock.profiles.profile import Profile
from opclock.tracing.trace import Trace

SECONDS = {"relu": 1e-3, "tanh": 2e-3}
OLD = chain("relu", "tanh")  # of a version that kept no code
FIRST, SECOND, ELSEWHERE = (
    replace(OLD, code=code) for code in ("cpython-312:aaaa", "cpython-312:bbbb", "cpython-313:aaaa")
)


def read(path, trace):
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2)


@pytest.mark.parametrize(("measured", "asked", "flags"), [
    (FIRST, FIRST, ()),
    (OLD, OLD, ()),
    (FIRST, SECOND, ("host_by_table", "other_code")),
    (OLD, FIRST, ("code_unknown",)),
    (FIRST, OLD, ("code_unknown",)),
    (FIRST, ELSEWHERE, ("code_unknown",)),  # bytecode of another Python
])  # fmt: skip
def test_the_code_decides_whose_host_it_is(tmp_path, measured, asked, flags):
    """Two models with the same op calls shared one host: 16 µs were called measured where it took 20 ms."""
    filled(tmp_path / "p.sqlite", measured, SECONDS)
    done = read(tmp_path / "p.sqlite", asked)
    assert done.flags == flags
    assert (done.coverage.modelled > 0) == ("host_by_table" in flags)


def test_each_code_has_its_own_host(tmp_path):
    filled(tmp_path / "p.sqlite", OLD, SECONDS, host_s=3e-6)
    filled(tmp_path / "p.sqlite", FIRST, SECONDS, host_s=1e-6)
    filled(tmp_path / "p.sqlite", SECOND, SECONDS, host_s=1e-3)
    assert [read(tmp_path / "p.sqlite", one).host_s for one in (FIRST, SECOND)] == pytest.approx([3e-6, 3e-3])
    assert read(tmp_path / "p.sqlite", FIRST).flags == ()


def test_what_a_profile_holds_is_estimated_with_its_code_and_once_for_the_newest(tmp_path):
    context = {"model": {"name": "chain", "modules": [[one.module, one.module_type] for one in OLD.calls]}}
    filled(tmp_path / "p.sqlite", FIRST, SECONDS, host_s=1e-6, context=context)
    filled(tmp_path / "p.sqlite", SECOND, SECONDS, host_s=1e-3, context=context)
    with Profile.open(tmp_path / "p.sqlite") as profile:
        (found,) = estimates(profile)
    assert found.host_s == pytest.approx(3e-3)
    assert found.flags == ()


def test_the_key_without_code_is_that_of_earlier_profiles():
    assert host_key(OLD) == split_key(host_key(FIRST))[0]
    assert split_key(host_key(FIRST))[1] == FIRST.code


def test_a_trace_file_keeps_the_code(tmp_path):
    FIRST.save(tmp_path / "t.json")
    assert Trace.load(tmp_path / "t.json") == FIRST
    assert "code" not in OLD.to_json()
    with pytest.raises(TraceError, match="damaged trace"):
        Trace.from_json({**FIRST.to_json(), "code": 3})
