"""What was learnt from a profile's sweeps is learnt once, kept in the file, and learnt anew where it is outdated."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from helpers import BOARD, board_profile, chain, opclock, spec

from opclock.estimation.estimate import estimate
from opclock.prediction import kept_models
from opclock.prediction.forest import Forest
from opclock.prediction.predictor import Predictor
from opclock.profiles.condition import Condition
from opclock.profiles.maintenance import prune
from opclock.profiles.profile import Profile
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import Storage, Trace, TracedCall


def relu(numel, name="relu"):
    return TracedCall(OpCall(f"aten::{name}", "", (spec(1, numel),)), (spec(1, numel),), (0,), (1,), "act", "ReLU")


SWEPT = [relu(numel) for numel in range(100, 4000, 160)]
MODEL = Trace("model", (spec(1, 50),), 0, 1, (Storage("input", 200, 1), Storage("activation", 200, 1)), (relu(50),))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    path = tmp_path_factory.mktemp("swept") / "board.sqlite"
    board_profile(path, SWEPT, np.linspace(1e-5, 4e-5, len(SWEPT)))
    return path


@pytest.fixture
def path(swept, profile_path):
    profile_path.write_bytes(swept.read_bytes())
    return profile_path


@pytest.fixture
def trained(monkeypatch):
    """The sizes of all forests that are trained from now on."""
    sizes, train = [], Forest.train

    def counted(trees, inputs, targets):
        sizes.append(len(targets))
        return train(trees, inputs, targets)

    monkeypatch.setattr(Forest, "train", staticmethod(counted))
    return sizes


def estimated(path):
    with Profile.open(path) as profile:
        return estimate(MODEL, profile, threads=2).total_s


def add_pool(path, seconds):
    """One of the op calls that were in a pool together before."""
    with Profile.create_or_open(path, BOARD) as profile:
        keys = [call.call.key for call in SWEPT[:16]]
        pool = profile.start_pool(Condition("interleaved", "cpu", 2, 22), keys, [1] * len(keys), signature="new",
                                  calls=SWEPT[:16])  # fmt: skip
        profile.add_rounds(pool, np.full((12, len(keys)), seconds), np.ones(12), None)
        profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})


def test_forests_answer_as_scikit_learn_does():
    from sklearn.ensemble import ExtraTreesRegressor

    random = np.random.default_rng(0)
    inputs, unseen = random.normal(size=(300, 5)), random.normal(size=(200, 5))
    targets = inputs @ np.arange(5) + random.normal(size=300)
    theirs = ExtraTreesRegressor(30, min_samples_leaf=2, max_features=0.6, random_state=0).fit(inputs, targets)
    forest = Forest.train(30, inputs, targets)
    np.testing.assert_allclose(forest.predict(unseen), theirs.predict(unseen), rtol=1e-6, atol=1e-6)
    again = Forest.from_bytes(forest.to_bytes())
    assert np.array_equal(again.predict(unseen), forest.predict(unseen))
    alone = np.concatenate([again.predict(unseen[[row]]) for row in range(len(unseen))])
    assert np.array_equal(alone, forest.predict(unseen))  # to the last digit, however many are asked together


def test_an_estimate_learns_once(path, trained):
    first = estimated(path)
    assert trained
    trained.clear()
    assert estimated(path) == first
    assert trained == []


def test_a_kept_predictor_needs_no_scikit_learn(path, tmp_path):
    wanted = estimated(path)
    MODEL.save(tmp_path / "model.json")
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from opclock.estimation.estimate import estimate\n"
        "from opclock.profiles.profile import Profile\n"
        "from opclock.tracing.trace import Trace\n"
        f"with Profile.open({str(path)!r}) as profile:\n"
        f"    print(repr(estimate(Trace.load({str(tmp_path / 'model.json')!r}), profile, threads=2).total_s))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (repr(wanted), "")


def test_a_newer_sweep_is_learnt_from(path, trained):
    before = estimated(path)
    add_pool(path, 1e-3)
    trained.clear()
    assert estimated(path) > 2 * before
    assert trained


def test_newer_code_learns_anew(path, trained, monkeypatch):
    estimated(path)
    trained.clear()
    monkeypatch.setattr(kept_models.predictor_table, "code_of", lambda *_modules: "other code")
    estimated(path)
    assert trained


def test_every_module_that_a_feature_comes_from_is_part_of_the_version():
    """A change of what is learnt must not leave what was kept by older code."""
    names = {module.__name__.removeprefix("opclock.") for module in kept_models.CODE}
    assert {"prediction.features", "prediction.training", "prediction.forest", "tracing.macs"} <= names


def test_a_read_only_file_stays_as_it_is(path, trained):
    path.chmod(0o444)
    before = path.read_bytes()
    first = estimated(path)
    assert estimated(path) == first
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]


def test_what_is_kept_leaves_no_log_beside_the_file(path):
    estimated(path)
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]


def test_a_profile_open_for_writing_keeps_it_too(path, trained):
    with Profile.create_or_open(path, BOARD) as profile:
        first = Predictor.read(profile, 2).predict(MODEL.calls, 20)[0].seconds
        trained.clear()
        assert Predictor.read(profile, 2).predict(MODEL.calls, 20)[0].seconds == first
    assert trained == []


def test_pruning_removes_it(path):
    estimated(path)
    with Profile.edit(path) as profile:
        prune(profile)
        assert profile.ask("SELECT count(*) FROM predictor") == [(0,)]


@pytest.mark.parametrize(("column", "value"), [("forest", b"\x01\x02"), ("facts", "{}"), ("facts", "["), ("facts", 7)])
def test_a_damaged_one_is_named_with_the_remedy(column, value, path, tmp_path):
    estimated(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE predictor SET {column} = ?", (value,))
    connection.close()
    MODEL.save(tmp_path / "model.json")
    done = opclock("estimate", tmp_path / "model.json", "--profile", path)
    assert done.returncode == 2
    assert "opclock profile prune" in done.stderr
    opclock("profile", "prune", path)
    assert opclock("estimate", tmp_path / "model.json", "--profile", path, "--json", "-").returncode == 0


def test_the_version_holds_the_ceilings(path, trained):
    estimated(path)
    with Profile.create_or_open(path, BOARD) as profile:
        for _ in range(3):
            profile.add_ceiling("multiply_adds_float32", 0, 2, 5e11)
    trained.clear()
    estimated(path)
    assert trained


def test_a_model_that_is_measured_trains_nothing(path, trained):
    with Profile.open(path) as profile:
        estimate(chain("tanh"), profile, threads=2)
    assert trained == []
    assert json.loads(opclock("profile", "info", path, "--json", "-").stdout)["op_calls"] == len(SWEPT) + 1
