"""A pool of any operators: answers, rounds, and what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from opclock.extension import load_aten

_aten = load_aten()


def add(pool, operator, overload, args, kwargs=None, group=0):
    return pool.add(operator, overload, args, kwargs or {}, group, [], [])


@pytest.mark.parametrize(
    ("operator", "overload", "args", "kwargs"),
    [
        ("aten::add", "Tensor", (torch.ones(3), torch.ones(3)), {"alpha": 2}),
        ("aten::mul", "Tensor", (torch.ones(3), 0.18), {}),
        ("aten::cat", "", ([torch.ones(1, 2), torch.ones(1, 3)], 1), {}),
        ("aten::conv2d", "", (torch.ones(1, 2, 4, 4), torch.ones(2, 1, 3, 3), None, [1, 1], [1, 1], [1, 1], 2), {}),
        ("aten::to", "dtype", (torch.ones(3), torch.float64), {}),
        ("aten::clone", "", (torch.ones(1, 2, 3, 4),), {"memory_format": torch.channels_last}),
        ("aten::max_pool2d", "", (torch.randn(1, 1, 4, 4), [2, 2]), {}),
        ("aten::split", "Tensor", (torch.arange(6), 2, 0), {}),
        ("aten::full", "", ([2, 2], 3.5), {"dtype": torch.float32, "device": torch.device("cpu")}),
        ("aten::index", "Tensor", (torch.arange(6.0), [torch.tensor([1, 2])]), {}),
    ],
)
def test_any_operator_answers_as_torch_does(operator, overload, args, kwargs):
    pool = _aten.Pool(0, True)
    number = add(pool, operator, overload, args, kwargs)
    namespace, _, name = operator.partition("::")
    own = getattr(getattr(getattr(torch.ops, namespace), name), overload or "default")(*args, **kwargs)
    torch.testing.assert_close(pool.answer(number)[0], own)
    pool.warm_up(0.01)
    pool.begin_round()
    seconds = np.zeros(1)
    control_s = pool.end_round(seconds)
    assert seconds[0] > 0
    assert control_s > 0


@pytest.mark.parametrize(
    ("operator", "overload", "args", "complaint"),
    [
        ("aten::frobnicate", "", (), "no operator 'aten::frobnicate'"),
        ("aten::add", "Wrong", (), "its overloads are: .*Tensor"),
        ("aten::add", "Tensor", (torch.ones(1),), "missing value for argument 'other'"),
        ("aten::add", "Tensor", (torch.ones(1), "text"), "'other'"),
        ("aten::conv2d", "", (torch.ones(1), torch.ones(1), None, [1, 1, "x"]), "'stride'"),
        ("aten::relu", "", (torch.ones(1), 1, 2), "at most 1 argument"),
    ],
)
def test_what_does_not_fit_is_named(operator, overload, args, complaint):
    pool = _aten.Pool(0, True)
    with pytest.raises(ValueError, match=complaint):
        add(pool, operator, overload, args)


def test_an_operator_that_fails_when_called_is_named():
    pool = _aten.Pool(0, True)
    number = add(pool, "aten::mm", "", (torch.ones(2, 3), torch.ones(2, 3)))
    with pytest.raises(ValueError, match=r"aten::mm: mat1 and mat2"):
        pool.answer(number)
    with pytest.raises(ValueError, match=r"mat1 and mat2"):
        pool.warm_up(0.01)


def test_inference_mode_holds():
    pool = _aten.Pool(0, True)
    weight = torch.ones(2, 2, requires_grad=True)
    assert pool.answer(add(pool, "aten::mm", "", (weight, weight)))[0].is_inference()


def test_preparations_restore_and_rewrite():
    pool = _aten.Pool(0, False)
    target, pristine, other = torch.ones(4), torch.ones(4), torch.full((4,), 5.0)
    pool.add("aten::add_", "Tensor", (target, other), {}, 0, [other], [(target, pristine)])
    pool.warm_up(0.01)
    pool.begin_round()
    pool.end_round(np.empty(1))
    assert other.abs().eq(5).all()
    calls = pool.calls_per_sample(0)
    assert target.sub(1).abs().eq(5 * calls).all()  # restored before the sample, then added to by each of its calls


def test_the_samples_of_a_round_count_once():
    pool = warm_pool()
    for _ in range(2):
        with pytest.raises(ValueError, match="no round has begun"):
            pool.end_round(np.empty(2))
        pool.begin_round()
        pool.end_round(np.empty(2))
    pool.back_to_back(np.empty(2))
    with pytest.raises(ValueError, match="no round has begun"):
        pool.end_round(np.empty(2))


def test_cold_and_full_pools_say_so():
    pool = _aten.Pool(0, True)
    with pytest.raises(ValueError, match="warm_up"):
        pool.end_round(np.empty(0))
    add(pool, "aten::relu", "", (torch.ones(1),))
    pool.warm_up(0.01)
    with pytest.raises(ValueError, match="already warm"):
        add(pool, "aten::relu", "", (torch.ones(1),))
    with pytest.raises(ValueError, match="already warm"):
        pool.warm_up(0.01)


def test_results_need_an_array_that_fits():
    pool = _aten.Pool(0, True)
    add(pool, "aten::relu", "", (torch.ones(1),))
    pool.warm_up(0.01)
    pool.begin_round()
    with pytest.raises(ValueError, match="seconds must be an array of 1 float64, this one has 2"):
        pool.end_round(np.empty(2))


def warm_pool(calls=2):
    pool = _aten.Pool(0, False)
    for _ in range(calls):
        add(pool, "aten::tanh", "", (torch.ones(100),))
    pool.warm_up(0.0)
    return pool


@pytest.mark.parametrize(
    "call",
    [
        lambda pool: pool.answer(2),
        lambda pool: pool.hold_outputs(0, 2),
        lambda pool: pool.hold_outputs(2, 0),
        lambda pool: pool.feed(2, 0, 0, 0),
        lambda pool: pool.feed(0, 0, 2, 0),
        lambda pool: pool.calls_per_sample(2),
        lambda pool: pool.set_calls_per_sample(2, 1),
        lambda pool: pool.calls_per_sample((1 << 64) - 1),
    ],
)
def test_op_calls_that_the_pool_has_not_are_refused(call):
    with pytest.raises(IndexError, match=r"no op call [0-9]+: there are 2"):
        call(warm_pool())


def test_a_sample_makes_as_many_calls_as_in_an_interrupted_run():
    pool = warm_pool()
    pool.set_calls_per_sample(1, 7)
    assert pool.calls_per_sample(1) == 7
    for calls in (0, 1 << 40):
        with pytest.raises(ValueError, match=f"a sample makes 1 to [0-9]+ calls, not {calls}"):
            pool.set_calls_per_sample(1, calls)
    assert pool.calls_per_sample(1) == 7


def test_groups_and_arguments_that_are_not_there_are_refused():
    pool = warm_pool()
    with pytest.raises(IndexError, match="no group 1: there are 1"):
        pool.reason(1)
    with pytest.raises(IndexError, match="no group 7"):
        pool.add_earlier(7, [1.0])
    with pytest.raises(IndexError, match="no tensor argument 1"):
        pool.feed(0, 1, 1, 0)
    sparse = _aten.Pool(0, True)
    add(sparse, "aten::relu", "", (torch.ones(1),), group=(1 << 64) - 1)
    with pytest.raises(ValueError, match="no group"):
        sparse.warm_up(0.0)


def test_indices_below_zero_are_refused():
    pool = warm_pool()
    for call in (pool.answer, pool.reason, pool.calls_per_sample):
        with pytest.raises(TypeError):
            call(-1)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_warm_ups_that_never_end_are_refused(seconds):
    pool = _aten.Pool(0, True)
    add(pool, "aten::relu", "", (torch.ones(1),))
    with pytest.raises(ValueError, match="max_s must be a finite number"):
        pool.warm_up(seconds)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (np.empty(1), ValueError),
        (np.empty((1, 2)), ValueError),
        (np.empty(2, dtype=np.float32), TypeError),
        (np.empty(4)[::2], TypeError),
        ([0.0, 0.0], TypeError),
    ],
    ids=["length", "dimensions", "dtype", "strides", "list"],
)
def test_arrays_of_another_layout_are_refused_before_the_round(seconds, error):
    pool = warm_pool()
    pool.begin_round()
    with pytest.raises(error):
        pool.end_round(seconds)
    assert pool.visits_left == 3
    with pytest.raises(error):
        pool.back_to_back(seconds)


def test_arrays_that_may_not_be_written_are_refused():
    seconds = np.zeros(2)
    seconds.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        warm_pool().end_round(seconds)


def test_restored_arguments_need_values_of_their_shape():
    pool = _aten.Pool(0, True)
    target = torch.ones(4)
    with pytest.raises(ValueError, match="aten::add_: a restored argument"):
        pool.add("aten::add_", "Tensor", (target, 1), {}, 0, [], [(target, torch.ones(3))])


def test_memcpy_refuses_layouts_with_gaps():
    copy = torch.ops.opclock.memcpy
    copy(torch.ones(4), target := torch.zeros(4))
    assert target.eq(1).all()
    with pytest.raises(RuntimeError, match="different bytes"):
        copy(torch.ones(4), torch.zeros(3))
    with pytest.raises(RuntimeError, match="gaps or overlaps"):
        copy(torch.ones(1).expand(4), torch.zeros(4))
    with pytest.raises(RuntimeError, match="gaps or overlaps"):
        copy(torch.ones(4), torch.zeros(8)[::2])
    with pytest.raises(RuntimeError, match="single memory location"):
        copy(target[:3], target[1:])


def test_an_expanded_destination_is_not_written_past_its_end():
    copy = torch.ops.opclock.memcpy
    guarded = torch.zeros(8)
    for destination in (guarded[:1].expand(4), guarded[:2, None].expand(2, 2), guarded[:6].as_strided((2, 2), (4, 1))):
        with pytest.raises(RuntimeError, match="gaps or overlaps"):
            copy(torch.ones(destination.shape), destination)
    assert guarded.eq(0).all()


def test_back_to_back_restores_what_the_call_overwrites():
    pool = _aten.Pool(0, True)
    target, negative = torch.ones(4), torch.full((4,), -1.0)
    pool.add("aten::add_", "Tensor", (target, 5.0), {}, 0, [], [(target, torch.ones(4))])
    pool.add("aten::relu_", "", (negative,), {}, 1, [], [(negative, negative.clone())])
    pool.warm_up(0.0)
    for _ in range(3):
        pool.back_to_back(np.empty(2))
        assert target.eq(1 + 5 * pool.calls_per_sample(0)).all()  # the sample began with the first values
    assert negative.eq(0).all()


@pytest.mark.parametrize(("device", "lane"), [("cpu", "host"), ("simulated", "host"), ("simulated", "device")])
def test_in_place_views_get_their_shape_back_and_no_data(device, lane):
    """unsqueeze_ has one dimension more after each call: without its first shape it fails at the 65th."""
    data = torch.arange(6.0).view(2, 3)
    target, resized = data.as_strided((2, 3), (3, 1)), torch.ones(4)
    pool = _aten.Pool(0, True, device, lane)
    pool.add("aten::unsqueeze_", "", (target, 0), {}, 0, [], [(target, data)])
    pool.add("aten::set_", "", (resized,), {}, 1, [], [(resized, resized.as_strided((4,), (1,)))])
    pool.warm_up(0.0)
    seconds = np.empty(2)
    for _ in range(100):
        pool.begin_round()
        pool.end_round(seconds)
    pool.back_to_back(seconds)
    assert target.shape == (1, 2, 3)
    assert pool.answer(0)[0].shape == (1, 2, 3)
    assert data.equal(torch.arange(6.0).view(2, 3))
    assert data.shape == (2, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda pool: pool.issue(),
        lambda pool: pool.begin_round(),
        lambda pool: pool.answer(0),
        lambda pool: pool.back_to_back(np.empty(1)),
    ],
    ids=["issue", "begin_round", "answer", "back_to_back"],
)
def test_the_gil_is_released_while_a_pool_works(use):
    """Only without the GIL can another thread find the pool running; it is then refused."""
    target = torch.ones(1 << 20)
    pool = _aten.Pool(0, False)
    pool.add("aten::relu_", "", (target,), {}, 0, [], [(target, target.clone())])
    pool.warm_up(0.0)
    refused = []

    def use_until_refused():
        for _ in range(10_000):
            if refused:
                return
            try:
                use(pool)
            except RuntimeError as error:
                refused.append(str(error))

    thread = threading.Thread(target=use_until_refused)
    thread.start()
    use_until_refused()
    thread.join()
    assert set(refused) == {"the pool is running: another thread or a playback uses it"}


def test_the_clock_that_times_shows_itself():
    clock = _aten.process_clock()
    assert clock.name in ("x86_tsc", "arm_cntvct", "posix_monotonic_raw")
    assert clock.steady
    assert clock.rate_hz > 0
    assert clock.prove().disagreement < 0.05
    assert _aten.process_clock() is clock
