"""The raw extension with torch: any operator, its answer, its rounds, null playback."""

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


def played(model, x, outputs):
    calls = [
        ("aten::linear", "", (outputs[0],)),
        ("aten::relu_", "", (outputs[0],)),
        ("aten::add", "Tensor", (outputs[1],)),
    ]
    return _aten.Playback(calls), lambda: model(x)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x):
        self.seen = torch.nn.functional.relu(self.linear(x), inplace=True) + 1
        return self.seen


def test_playback_hands_back_what_was_recorded_and_computes_nothing():
    model, x = Small(), torch.ones(2, 3)
    outputs = torch.full((2, 3), 7.0), torch.full((2, 3), 8.0)
    playback, forward = played(model, x, outputs)
    with torch.inference_mode():
        host_s = np.zeros(4)
        playback.run(forward, host_s)
        assert (host_s > 0).all()
        assert model.seen.eq(8).all()
        assert outputs[0].eq(7).all()  # relu_ was not run on it
        assert model(x).ne(8).any()  # and kernels are on again


def test_playback_among_a_round():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (torch.ones(2, 3), torch.ones(2, 3)))
    pool = _aten.Pool(0, False)
    for _ in range(3):
        add(pool, "aten::tanh", "", (torch.ones(100),))
    pool.warm_up(0.01)
    with torch.inference_mode():
        pool.begin_round()
        assert pool.visits_left == 4
        playback.run(forward, np.empty(4), pool)
        assert pool.visits_left == 1  # the control's
        seconds = np.zeros(3)
        pool.end_round(seconds)
    assert (seconds > 0).all()


def test_playback_of_another_model_is_refused():
    x = torch.ones(2, 3)
    playback, _ = played(Small(), x, (x, x))
    with torch.inference_mode():
        with pytest.raises(RuntimeError, match="call 0 is aten::tanh, the trace has aten::linear"):
            playback.run(lambda: x.tanh(), np.empty(4))
        with pytest.raises(RuntimeError, match="made 0 calls, the trace has 3"):
            playback.run(lambda: None, np.empty(4))
        assert torch.ones(1).tanh() < 1  # kernels are on after both


def test_playback_needs_as_many_outputs_as_the_operator_has():
    with pytest.raises(ValueError, match="returns 1 values, 0 were recorded"):
        _aten.Playback([("aten::relu", "", ())])


def test_several_playbacks_make_one_round():
    x = torch.ones(2, 3)
    playback, forward = played(Small(), x, (x, x))
    pool = _aten.Pool(0, False)
    for _ in range(5):
        add(pool, "aten::tanh", "", (torch.ones(100),))
    pool.warm_up(0.01)
    with torch.inference_mode():
        pool.begin_round()
        left = []
        for _ in range(3):
            playback.run(forward, np.empty(4), pool)
            left.append(pool.visits_left)
    assert left == [3, 0, 0]


def test_results_need_an_array_that_fits():
    pool = _aten.Pool(0, True)
    add(pool, "aten::relu", "", (torch.ones(1),))
    pool.warm_up(0.01)
    pool.begin_round()
    with pytest.raises(ValueError, match="seconds must be an array of 1 float64, this one has 2"):
        pool.end_round(np.empty(2))


def test_observing_runs_the_model_for_real():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (x, x))
    kernel_s, host_s = np.zeros(3), np.zeros(4)
    with torch.inference_mode():
        expected = model(x)
        playback.observe(forward, kernel_s, host_s)
        assert torch.equal(model.seen, expected)
        assert (kernel_s > 0).all()
        assert (host_s > 0).all()
        with pytest.raises(RuntimeError, match="made 0 calls"):
            playback.observe(lambda: None, kernel_s, host_s)
        playback.run(forward, host_s)  # kernels off again: what was recorded comes back
        assert model.seen.eq(1).all()


def test_playback_of_every_kind_of_answer():
    """Known operators are played unboxed, others boxed; one tensor, a list, a tuple, an argument, a new tensor."""
    x, part, pair = torch.full((2, 4), 3.0), torch.full((2, 2), 4.0), (torch.full((2,), 5.0), torch.zeros(2).long())
    playback = _aten.Playback([
        ("aten::relu", "", (x,)),
        ("aten::chunk", "", ([part, part],)),
        ("aten::max", "dim", pair),
        ("aten::mul_", "Tensor", (x,)),
        ("aten::zeros", "", (part,)),
        ("aten::cosh", "", (x,)),  # not among the known ones
        ("aten::kthvalue", "", pair),  # neither
    ])  # fmt: skip
    seen = []

    given = torch.ones(2, 4)

    def forward():
        seen.extend([given.relu(), *given.chunk(2, 1), *given.max(1), given.mul_(2.0), torch.zeros(2, 2), given.cosh()])
        seen.extend(given.kthvalue(1))

    with torch.inference_mode():
        playback.run(forward, np.empty(8))
    relu, left, right, largest, _, scaled, zeros, cosh, kth, _ = seen
    assert relu.eq(3).all()
    assert left.eq(4).all()
    assert right.eq(4).all()
    assert largest.eq(5).all()
    assert scaled.eq(1).all()  # handed back, not multiplied
    assert zeros.eq(4).all()
    assert cosh.eq(3).all()
    assert kth.eq(5).all()


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
        lambda pool: pool.calls_per_sample((1 << 64) - 1),
    ],
)
def test_op_calls_that_the_pool_has_not_are_refused(call):
    with pytest.raises(IndexError, match=r"no op call [0-9]+: there are 2"):
        call(warm_pool())


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


def test_a_running_pool_belongs_to_one_thread():
    pool = _aten.Pool(0, False)
    add(pool, "aten::mm", "", (torch.ones(300, 300), torch.ones(300, 300)))
    pool.warm_up(0.0)
    refused = []

    def issue_until_refused():
        for _ in range(10_000):
            if refused:
                return
            try:
                pool.issue()
            except RuntimeError as error:
                refused.append(str(error))

    thread = threading.Thread(target=issue_until_refused)
    thread.start()
    issue_until_refused()
    thread.join()
    assert refused
    assert set(refused) == {"the pool is running: another thread or a playback uses it"}


def test_playback_keeps_its_pool_and_itself_to_itself():
    x = torch.ones(2, 3)
    playback, _ = played(Small(), x, (x, x))
    pool = warm_pool()
    with torch.inference_mode():
        pool.begin_round()
        with pytest.raises(RuntimeError, match="the pool is running"):
            playback.run(lambda: pool.begin_round(), np.empty(4), pool)
        with pytest.raises(RuntimeError, match="has already begun"):
            playback.run(lambda: playback.run(lambda: None, np.empty(4)), np.empty(4))
        with pytest.raises(RuntimeError, match="made 0 calls"):  # and goes on afterwards
            playback.run(lambda: None, np.empty(4))


def test_playback_refuses_arrays_and_outputs_that_do_not_fit():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (x, x))
    with torch.inference_mode():
        with pytest.raises(ValueError, match="host_s must be an array of 4 float64, this one has 3"):
            playback.run(forward, np.empty(3))
        with pytest.raises(ValueError, match="kernel_s must be an array of 3 float64"):
            playback.observe(forward, np.empty(4), np.empty(4))
    with pytest.raises(ValueError, match="returns 1 values, 2 were recorded"):
        _aten.Playback([("aten::relu", "", (x, x))])
    with pytest.raises(ValueError, match="aten::relu"):
        _aten.Playback([("aten::relu", "", ("text",))])


def test_the_clock_that_times_shows_itself():
    clock = _aten.process_clock()
    assert clock.name in ("x86_tsc", "arm_cntvct", "posix_monotonic_raw")
    assert clock.steady
    assert clock.rate_hz > 0
    assert clock.prove().disagreement < 0.05
    assert _aten.process_clock() is clock
