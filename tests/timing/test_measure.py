"""Small real models, really timed: structure and ratios, never tight wall times."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from small_model import Classifier
from torch import nn

from opclock.errors import ModelError, OpCallError, OptionError
from opclock.estimation.estimate import estimate
from opclock.models.loading import load_model
from opclock.timing.host_playback import PlayedHost
from opclock.timing.inputs import Arguments
from opclock.timing.measure import measure
from opclock.timing.missing import condition_of, missing_in
from opclock.timing.reference import forward_of, reference
from opclock.timing.sampler import Sampler
from opclock.tracing.recorder import trace


@pytest.fixture
def small():
    return Classifier().eval(), (torch.randn(1, 3, 16, 16),)


def test_measure_then_estimate(small, profile):
    traced = trace(*small)
    done = measure(traced, profile, forward=forward_of(*small), threads=1, max_s=1.0)
    assert done.timed == len(traced.unique)
    assert done.rounds >= 5
    made = estimate(traced, profile, threads=1)
    assert made.complete
    assert made.coverage.measured == 1
    assert set(made.by_class()) >= {
        "convolution",
        "normalisation",
        "activation",
        "concat",
        "element-wise",
        "gemm",
        "host",
    }
    assert 0 < made.ci_low_s <= made.total_s <= made.ci_high_s
    again = measure(traced, profile, forward=forward_of(*small), threads=1)
    assert (again.timed, again.known, again.ended) == (0, len(traced.unique), "nothing_to_do")


EDITED = """
import time, torch
class Net(torch.nn.Module):
    def forward(self, x):
        time.sleep({})
        return torch.tanh(x)
def net():
    return Net(), torch.randn(4)
"""


def test_an_edited_forward_is_timed_again(profile, tmp_path):
    """Its op calls are the same ones: nothing was timed, and 16 µs of host were called measured where it took 20 ms."""
    hosts_s = []
    for pause_s in ("0.0", "0.005"):
        path = tmp_path / "edited.py"
        path.write_text(EDITED.format(pause_s))
        model = load_model(f"{path}:net")
        traced = trace(model.module, model.inputs)
        if hosts_s:
            assert {"host_by_table", "other_code"} <= set(estimate(traced, profile, threads=1).flags)
        done = measure(traced, profile, model=model, threads=1, max_s=0.1)
        assert done.rounds > 0
        hosts_s.append(estimate(traced, profile, threads=1).host_s)
        assert measure(traced, profile, model=model, threads=1).ended == "nothing_to_do"
    assert hosts_s[1] > 0.001  # however the state of a busy machine scales it


def test_more_work_takes_longer(profile):
    times = []
    for width in (32, 256):
        model, inputs = nn.Linear(width, width), (torch.randn(256, width),)
        traced = trace(model, inputs)
        measure(traced, profile, forward=forward_of(model, inputs), threads=1, max_s=0.2)
        times.append(estimate(traced, profile, threads=1).mac_s)
    assert times[1] > 4 * times[0]  # 64 times the MACs


def test_every_answer_was_compared(small, profile, monkeypatch):
    monkeypatch.setattr(torch, "equal", lambda *_args: False)
    monkeypatch.setattr(torch, "allclose", lambda *_args, **_options: False)
    with pytest.raises(OpCallError, match="another answer"):
        measure(trace(*small), profile, threads=1, max_s=0.1)


class OnlyTraced(nn.Module):
    """Its forward refuses to run after it was traced."""

    def __init__(self):
        super().__init__()
        self.refuses = False
        # more calls than the stand-in makes in one play
        self.inner = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=True)) for _ in range(40)])

    def forward(self, x):
        if self.refuses:
            raise RuntimeError("run on real data")
        return self.inner(x)


def test_a_model_that_cannot_be_run_is_estimated_all_the_same(profile):
    model, inputs = OnlyTraced().eval(), (torch.randn(4, 16),)
    traced = trace(model, inputs)
    model.refuses = True
    told = "cannot be played back, nor run: RuntimeError: run on real data; its host cost"
    with pytest.warns(UserWarning, match=told) as warned:
        done = measure(traced, profile, forward=forward_of(model, inputs), threads=1, max_s=0.2)
    assert warned[0].filename == __file__
    assert "host_by_table" in done.flags
    assert "table by kind" in done.remark
    made = estimate(traced, profile, threads=1)
    assert made.complete
    assert made.host_s > 0
    assert 0 < made.coverage.modelled < 1
    with pytest.warns(UserWarning, match="cannot be played back"):
        again = measure(traced, profile, forward=forward_of(model, inputs), threads=1)
    assert again.ended == "nothing_to_do"
    with pytest.raises(ModelError, match="run on real data"):
        reference(model, inputs)


def test_a_stored_trace_is_measured_without_its_model(small, profile):
    traced = trace(*small)
    measure(traced, profile, threads=1, max_s=0.2)
    assert estimate(traced, profile, threads=1).complete


def test_interrupted_pool_goes_on(small, profile):
    traced = trace(*small)
    condition = condition_of(traced, 1)
    calls = range(len(traced.calls))
    first = Sampler(traced, calls, Arguments(traced), profile, condition, None)
    first.warm_up()
    for _ in range(3):
        first.block(1)
    assert missing_in(traced, profile, condition) == set(traced.unique)  # not ended
    second = Sampler(traced, calls, Arguments(traced), profile, condition, None)
    second.warm_up()
    assert second.rounds == second.earlier_rounds == 3
    second.block(1)
    second.end()
    (number,) = profile.pools(["in_model"], "cpu", 1)
    assert len(profile.pool(number).control_s) == 4
    assert not missing_in(traced, profile, condition)


def test_split_pools_still_make_one_estimate(small, profile, monkeypatch):
    module = importlib.import_module("opclock.timing.measure")
    monkeypatch.setattr(module, "split", lambda trace, _limit: [range(3), range(3, len(trace.calls))])
    traced = trace(*small)
    measure(traced, profile, forward=forward_of(*small), threads=1, max_s=0.2)
    assert estimate(traced, profile, threads=1).complete


class Indexes(nn.Module):
    def forward(self, table, indices):
        return (nn.functional.embedding(indices, table), table[indices], table.index_select(0, indices[0]),
                torch.gather(table, 0, indices[:, :2]), nn.functional.one_hot(indices, 9))  # fmt: skip


def test_indices_stay_in_range(profile):
    inputs = (torch.randn(5, 4), torch.randint(0, 5, (3, 4)))
    traced = trace(Indexes(), inputs, real=True)
    assert measure(traced, profile, forward=forward_of(Indexes(), inputs), threads=1, max_s=0.1).timed > 4


def test_calls_that_overwrite_a_shared_buffer_answer_alike(profile):
    class Overwrites(nn.Module):
        def forward(self, x):
            y = x + 1
            y += x
            y *= x
            y -= x
            return torch.relu_(y)

    inputs = (torch.randn(4, 4),)
    assert measure(trace(Overwrites(), inputs), profile, threads=1, max_s=0.1).timed == 5


class Constant(nn.Module):
    def forward(self, x):
        return x + torch.tensor(2.0)


def test_what_no_trace_holds_is_host_work():
    inputs = (torch.ones(3),)
    traced = trace(Constant(), inputs)  # without the empty() inside torch.tensor(), which a real run dispatches too
    played = PlayedHost(traced, forward_of(Constant(), inputs))
    assert len(played.alone()) == len(traced.calls) + 1


def test_reference_has_a_repeat(small):
    found = reference(*small, blocks=4)
    assert found.first.size == found.repeat.size >= 8
    low, high = found.interval_s
    assert low <= found.median_s <= high
    assert np.isfinite(found.repeat_error)


@pytest.mark.parametrize("options", [{"blocks": 0}, {"threads": 1.5}, {"threads": "1"}])
def test_a_reference_refuses_nonsense(options):
    with pytest.raises(OptionError):
        reference(nn.Linear(2, 2), (torch.zeros(1, 2),), **options)


@pytest.mark.parametrize("threads", [1.5, "1"])
def test_threads_that_are_no_whole_number(profile, threads):
    traced = trace(nn.Linear(2, 2), (torch.zeros(1, 2),))
    with pytest.raises(OptionError, match="whole number"):
        measure(traced, profile, threads=threads)


def test_a_reference_runs_with_its_threads():
    seen = set()

    class Counts(nn.Module):
        def forward(self, x):
            seen.add(torch.get_num_threads())
            return x + 1

    reference(Counts(), (torch.zeros(1),), blocks=1, threads=1)
    assert seen == {1}


class Remembers(nn.Module):
    """Makes a table in its first run, and fills a cache."""

    def __init__(self):
        super().__init__()
        self.table, self.at, self.layer = None, 0, nn.Linear(4, 4)
        self.register_buffer("keys", torch.zeros(8, 4))

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(4.0).cos()
        self.keys[self.at] = (self.layer(x) * self.table)[0]
        self.at += 1
        with torch.profiler.record_function("sum"):
            return self.keys[: self.at].sum(0)


def test_a_model_that_keeps_a_table_and_resets_its_cache_is_played():
    model = Remembers().eval()
    inputs, reset = (torch.randn(1, 4),), lambda: setattr(model, "at", 2)
    traced = trace(model, inputs, reset=reset)
    assert model.table is None
    played = PlayedHost(traced, forward_of(model, inputs, reset))
    assert [len(played.alone()) for _ in range(9)] == [len(traced.calls) + 1] * 9
    assert torch.equal(model.table, torch.arange(4.0).cos())


def test_a_model_whose_python_reads_sizes_that_it_computes_is_played():
    class Ragged(nn.Module):
        def forward(self, x, lengths):
            for _step in range(lengths.cumsum(0).tolist()[-1]):
                x = x * 2
            return x

    inputs = torch.randn(1, 4), torch.tensor([2, 3])
    traced = trace(Ragged(), inputs)
    assert len(PlayedHost(traced, forward_of(Ragged(), inputs)).alone()) == len(traced.calls) + 1
