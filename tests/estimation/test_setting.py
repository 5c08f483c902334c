"""Which threads, device and dtype an estimate is for where nobody says."""

from __future__ import annotations

import pytest
from helpers import BOARD, board_profile, chain, filled, linear_trace
from hypothesis import given
from hypothesis import strategies as st

from opclock.errors import EstimateError, OptionError, ProfileError
from opclock.estimation.estimate import estimate
from opclock.estimation.setting import Holding, Setting, select
from opclock.profiles.profile import Profile
from opclock.tracing.placement import place

PLACES = [("cpu", "float32"), ("cuda:0", "float32"), ("cuda:0", "float16")]
holdings = st.lists(
    st.builds(
        lambda threads, place, op_calls: Holding(Setting(threads, *place), op_calls),
        st.integers(1, 8), st.sampled_from(PLACES), st.integers(0, 3),
    ),
    max_size=6, unique_by=lambda one: one.setting,
)  # fmt: skip
one_place = holdings.map(lambda held: [one for one in held if one.setting[1:] == PLACES[0]])


@given(holdings, st.none() | st.integers(1, 8))
def test_what_is_chosen_is_held_and_is_as_asked(held, threads):
    setting = select(held, threads)
    assert setting is None or setting in [one.setting for one in held]
    assert setting is None or threads in (None, setting.threads)


@given(one_place)
def test_no_other_number_of_threads_covers_more_and_of_equals_the_most_count(held):
    setting = select(held)
    assert (setting is None) == (not held)
    if setting is not None:
        (chosen,) = [one for one in held if one.setting == setting]
        assert all((one.op_calls, one.setting.threads) <= (chosen.op_calls, setting.threads) for one in held)


@given(one_place, st.integers(1, 8))
def test_threads_that_are_given_are_taken_or_nothing_is(held, threads):
    setting = select(held, threads)
    assert (setting is not None) == (threads in [one.setting.threads for one in held])


@given(holdings)
def test_several_devices_with_measurements_are_never_chosen_from(held):
    measured = {one.setting[1:] for one in held if one.op_calls}
    setting = select(held)
    if len(measured) > 1:
        assert setting is None
    elif measured:
        assert setting is not None
        assert setting[1:] in measured  # sweeps elsewhere do not count where one place has measurements


@given(holdings)
def test_the_order_does_not_matter(held):
    assert select(held) == select(held[::-1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "p.sqlite"


def read(path, trace, **options):
    with Profile.open(path) as profile:
        return estimate(trace, profile, **options)


def test_the_number_of_threads_that_was_measured_is_the_default(path):
    trace = chain("relu", "tanh")
    filled(path, trace, {"relu": 1e-3, "tanh": 1e-3}, threads=12)
    assert read(path, trace).threads == 12
    filled(path, trace, {"relu": 2e-3, "tanh": 2e-3}, threads=4)
    assert read(path, trace).threads == 12
    assert read(path, trace, threads=4).total_s == pytest.approx(4e-3 + 3e-6)


def test_more_threads_with_fewer_of_the_op_calls_are_not(path):
    filled(path, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, threads=2)
    filled(path, chain("relu", model="other"), {"relu": 1e-3}, threads=8)
    assert read(path, chain("relu", "tanh")).threads == 2


def test_a_model_with_other_inputs_is_named(path):
    """The message listed the settings of other op calls, and not what the profile has of this model."""
    filled(path, chain("relu", "tanh", batch=2), {"relu": 1e-3, "tanh": 1e-3})
    with pytest.raises(
        EstimateError, match=r"has this model with 2x4x8x8 in float32 in its aten::relu, in place of 1x4"
    ):
        read(path, chain("relu", "tanh"))
    with pytest.raises(EstimateError) as caught:
        read(path, chain("tanh"))
    assert "has this model" not in str(caught.value)


def test_a_model_in_another_dtype_is_named_where_another_was_asked_for(path):
    filled(path, place(chain("relu"), "cpu", "bfloat16"), {"relu": 1e-3})
    assert "other_dtype" in read(path, chain("relu")).flags
    with pytest.raises(EstimateError, match="has this model with 2 threads on cpu in bfloat16"):
        read(path, chain("relu"), dtype="float32")


def test_a_profile_of_sweeps_alone(path):
    calls = [linear_trace("swept", width).calls[1] for width in range(1000, 60_000, 900)]
    board_profile(path, calls, [1e-6 * number for number in range(1, len(calls) + 1)])
    trace = chain("sigmoid")
    estimated = read(path, trace)
    assert estimated.setting == (2, "cpu", "float32")
    assert estimated.coverage.measured == pytest.approx(0)
    with pytest.raises(EstimateError, match="no measurement of chain with 3 threads"):
        read(path, trace, threads=3)


@pytest.mark.parametrize(("device", "dtype", "flags"), [
    ("cuda:0", "float32", ("other_device",)), ("cpu", "float16", ("other_dtype",)),
    ("cuda:0", "bfloat16", ("other_device", "other_dtype")),
])  # fmt: skip
def test_the_only_place_that_the_profile_has_is_taken_and_said(path, device, dtype, flags):
    trace = chain("conv2d", "relu")
    filled(path, place(trace, device, dtype), {"conv2d": 2e-3, "relu": 1e-3})
    estimated = read(path, trace)
    assert estimated.setting == (2, device, dtype)
    assert estimated.flags == flags
    assert estimated.complete
    assert read(path, trace, device=device, dtype=dtype).flags == ()
    for asked in ({"threads": 3}, {"device": "cuda:7"}, {"dtype": "float64"}):
        with pytest.raises(EstimateError, match=f"It has this model with 2 threads on {device} in {dtype}"):
            read(path, trace, **asked)


def test_several_other_devices_are_listed(path):
    trace = chain("conv2d", "relu")
    for device in ("cuda:0", "cuda:1"):
        filled(path, place(trace, device, "float32"), {"conv2d": 2e-3, "relu": 1e-3})
    with pytest.raises(EstimateError, match=r"2 threads on cuda:0 in float32 and 2 threads on cuda:1 in float32"):
        read(path, trace)
    assert read(path, trace, device="cuda:1").setting.device == "cuda:1"


def test_the_trace_s_own_device_comes_first(path):
    trace = chain("conv2d", "relu")
    filled(path, place(trace, "cuda:0", "float32"), {"conv2d": 2e-3, "relu": 1e-3}, threads=8)
    filled(path, trace, {"conv2d": 2e-3, "relu": 1e-3}, threads=1)
    assert read(path, trace).setting == (1, "cpu", "float32")


def test_an_empty_profile(path):
    filled(path, chain("relu"), {"relu": 1e-3})
    with pytest.raises(
        EstimateError, match=r"any number of threads.*opclock measure.*other op calls with 2 threads on"
    ):
        read(path, chain("tanh"))


def test_a_profile_without_measurements_says_so(path):
    Profile.create_or_open(path, BOARD).close()
    with pytest.raises(EstimateError, match=r"It has no measurement of any op call$"):
        read(path, chain("tanh"))


def test_torch_s_own_device_and_dtype_are_taken(path):
    torch = pytest.importorskip("torch")
    trace = chain("relu")
    filled(path, trace, {"relu": 1e-3})
    assert read(path, trace, device=torch.device("cpu"), dtype=torch.float32).setting == (2, "cpu", "float32")


@pytest.mark.parametrize("threads", ["1", 1.5, 0])
def test_threads_that_are_no_number_of_threads(path, threads):
    filled(path, chain("relu"), {"relu": 1e-3})
    with pytest.raises(OptionError, match="threads"):
        read(path, chain("relu"), threads=threads)


def test_a_path_is_no_profile_and_a_depth_is_not_negative(path):
    filled(path, chain("relu"), {"relu": 1e-3})
    with pytest.raises(ProfileError, match=r"Profile\.open"):
        estimate(chain("relu"), str(path))
    with pytest.raises(OptionError, match="depth=-1"):
        read(path, chain("relu")).by_module(-1)
