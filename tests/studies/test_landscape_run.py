"""Study B on runtimes that misbehave, interrupted and gone on with."""

from __future__ import annotations

import pytest
from helpers import SMALL, opclock, refused

from opclock.benchmarking.options import SamplingOptions
from opclock.errors import ModelError
from opclock.runtimes.runtime import Settings
from opclock.studies import landscape
from opclock.studies.landscape_results import FILE, Landscape

QUICK = SamplingOptions(warmup=1, iterations=8, duration_s=1.0)


@pytest.mark.usefixtures("faulty_runtimes")
def test_a_study_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(landscape, "SAMPLING", QUICK)
    monkeypatch.setattr(landscape, "BATCH_SAMPLING", QUICK)
    monkeypatch.setattr(landscape, "ESTIMATE_S", 0.2)
    refusing = SMALL.replace(":small", ":refuses")
    arguments = {"runtimes": ["honest", "dies"], "batches": [1, 2], "settings": Settings(1)}
    with pytest.raises(ModelError, match="not today"):
        landscape.run(tmp_path, models=[SMALL, refusing], **arguments)
    kept = Landscape.load(tmp_path / FILE)
    assert [entry.model for entry in kept.entries] == [SMALL]
    (entry,) = landscape.run(tmp_path, models=[SMALL], **arguments).entries
    assert (entry.rows[1].samples == kept.entries[0].rows[1].samples).all()
    assert [row.status for row in entry.rows] == ["ok", "ok", "failed"]
    sizes = [("eager", 1), ("eager", 2), ("honest", 1), ("honest", 2)]
    assert [(row.runtime, row.batch) for row in entry.batches] == sizes
    assert len(entry.post_s) > 0
    assert entry.classes_s["convolution"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batches", "1,two"), ["--batches '1,two'"]),
        (("--combine", "one.json"), ["at least two boards"]),
        (("--combine", "/dev/null", "/dev/null"), ["/dev/null is no landscape.json"]),
        (("--models", "nothing"), ["no model 'nothing'"]),
    ],
)
def test_refusals(arguments, words, tmp_path):
    refused(opclock("study", "landscape", *arguments, cwd=tmp_path), *words)
