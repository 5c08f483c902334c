"""Several fresh processes sample a small model in turn."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from helpers import SMALL, opclock, refused
from small_model import Classifier

from opclock.benchmarking.worker import server as benchmarking_server
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.board.identity import read_board
from opclock.comparing import server as comparing_server
from opclock.comparing.side import Side
from opclock.errors import OptionError
from opclock.estimation.estimate import estimate
from opclock.estimation.estimate_file import document, estimate_of
from opclock.generation import server as generation_server
from opclock.generation.session import GenerationProcess
from opclock.models.loading import load_model
from opclock.profiles.profile import Profile
from opclock.ranking import worker as ranking_worker
from opclock.ranking.processes import RankingProcess
from opclock.report.estimate_tables import interruption_sentence
from opclock.timing import measure as measuring
from opclock.timing import sampling_server
from opclock.timing.measure import measure
from opclock.timing.sampling_processes import KernelProcess
from opclock.tracing.recorder import trace
from opclock.validation.validate import validate_model


@pytest.fixture(scope="module")
def model():
    return load_model(SMALL)


@pytest.fixture(scope="module")
def traced(model):
    return trace(model.module, model.inputs, name=model.name)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A profile into which two processes measured until one was killed, and what the command said."""
    path, block = tmp_path_factory.mktemp("processes") / "board.sqlite", KernelProcess.block

    def dying(self, rounds):
        if self.name == "process 2 of 2" and self.rounds:
            os.kill(self._child.pid, signal.SIGKILL)
        return block(self, rounds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KernelProcess, "block", dying)
        patch.setattr(measuring, "MAX_S", 0.2)
        return path, opclock("measure", SMALL, "--threads", "1", "--processes", "2", "--profile", path)


def test_a_process_that_dies_ends_the_command_and_its_rounds_stay(interrupted):
    path, done = interrupted
    refused(done, "process 2 of 2: while timing the op calls: killed by SIGKILL")
    with Profile.open(path) as profile:
        (number,) = profile.pools(["in_model"], "cpu", 1)
        pool = profile.pool(number, all_rounds=True)
        assert pool.ended == ""
        assert set(pool.processes) == {1, 2}


def test_an_estimate_from_an_interrupted_measurement_says_so(interrupted, traced):
    """It was like any other, from the few rounds that there were."""
    with Profile.open(interrupted[0]) as profile:
        made = estimate(traced, profile, threads=1)
        (rounds,) = profile.ask("SELECT count(*) FROM round")[0]
    assert "interrupted" in made.flags
    assert f"was interrupted after {rounds} rounds" in interruption_sentence(made)
    assert estimate_of(document(made)).interrupted_after == rounds


@pytest.mark.parametrize(("server", "main", "child"), [
    (sampling_server, sampling_server.main, KernelProcess),
    (benchmarking_server, benchmarking_server.main, WorkerProcess),
    (comparing_server, comparing_server.main, Side),
    (generation_server, generation_server.main, GenerationProcess),
    (ranking_worker, ranking_worker._serve, RankingProcess),
])  # fmt: skip
def test_what_a_child_was_doing_is_said_in_words(server, main, child, monkeypatch):
    """Messages began with the names of requests: "bind: killed by SIGKILL"."""
    handlers = {}
    monkeypatch.setattr(server, "serve", handlers.update)
    main()
    assert set(handlers) == set(child.doing)


def test_processes_share_one_pool_and_an_interrupted_one_goes_on_with_others(interrupted, model, traced):
    path, _ = interrupted
    with Profile.create_or_open(path, read_board()) as profile:
        before = profile.ask("SELECT count(*) FROM round")[0][0]
        done = measure(traced, profile, model=model, threads=1, max_s=0.2, processes=2)
        (number,) = profile.pools(["in_model"], "cpu", 1)
        pool = profile.pool(number, all_rounds=True)
        assert pool.ended
        assert set(pool.processes) == {1, 2, 3, 4}
        assert pool.faults.min() >= 0
        assert (done.timed, done.rounds, done.remark) == (len(traced.unique), pool.rounds, "")
        assert 0 < done.earlier_rounds == before < done.rounds
        known = len(estimate(traced, profile, threads=1).processes) >= 2  # other programs may have disturbed the rest
        if known and "contended" not in done.flags:
            again = measure(traced, profile, model=model, threads=1, processes=2)
            assert (again.timed, again.ended) == (0, "nothing_to_do")


def test_kernels_and_reference_are_sampled_in_other_processes(model, profile, quick_ceilings):
    row = validate_model(model, profile, threads=1, max_s=0.1, processes=2)
    assert all(set(half.processes) == {1, 2} for half in row.reference.halves)
    assert row.reference.runs.faults.min() >= 0
    (number,) = profile.pools(["in_model"], "cpu", 1)
    assert set(profile.pool(number, all_rounds=True).processes) == {1, 2}
    assert row.error == pytest.approx(row.estimate.total_s / row.reference.median_s - 1)
    assert "host_by_table" not in row.flags


def test_a_model_without_a_name_cannot_go_to_another_process(profile):
    module, image = Classifier().eval(), torch.randn(1, 3, 16, 16)
    with pytest.raises(OptionError, match=r"processes=2: .* load it by opclock\.load_model"):
        measure(trace(module, image), profile, forward=lambda: module(image), processes=2)


def test_explaining_is_for_one_process():
    refused(opclock("validate", SMALL, "--explain", "--processes", "2"), "--explain", "leave out --processes")
