"""A study that was interrupted goes on with the models that it has not finished."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import validation_row

from opclock.cli.main import commands
from opclock.errors import OptionError, ReportError
from opclock.models.zoo import ZOO
from opclock.studies.unfinished import FOLDER, Unfinished
from opclock.timing.reference import Reference
from opclock.timing.runs import RunSamples
from opclock.validation.row_file import can_be_stored, row_from_json, row_to_json

NAMES = list(ZOO)


def in_processes(name: str):
    """A row whose runs come from two processes; one did not count page faults."""
    one = RunSamples(np.array([1.0, 2.0, 1.5]), np.array([0, 0, 1]), np.array([3.0, np.nan, 4.0]))
    halves = [RunSamples.joined([one.in_process(place) for place in (1, 2)]) for _ in range(2)]
    return replace(validation_row(name, 8, 1.0, 1.1), reference=Reference((halves[0], halves[1]), 2, True))


@pytest.mark.parametrize("row", [validation_row("m", 8, 1.0, 1.1), in_processes("m")])
def test_a_row_comes_back_whole(row, tmp_path):
    with Unfinished(tmp_path, {}) as unfinished:
        unfinished.keep("m", row)
        read = unfinished.row("m")
    assert read is not None
    assert read.to_json() == row.to_json()
    assert read.reference.samples.tolist() == row.reference.samples.tolist()
    assert read.trace == row.trace


def test_what_a_file_cannot_hold_is_measured_again(tmp_path):
    row = replace(validation_row("m", 8, 1.0, 1.1), graph=validation_row("m", 8, 1.0, 1.1).reference)
    assert not can_be_stored(row)
    with Unfinished(tmp_path, {}) as unfinished:
        unfinished.keep("m", row)
        assert unfinished.models == []
        assert unfinished.row("m") is None


@pytest.mark.parametrize("damage", [
    lambda data: data.pop("trace"), lambda data: data.update(schema="opclock.row/0"),
    lambda data: data["reference"].update(halves=[]), lambda data: data["estimate"].update(total_s="1"),
])  # fmt: skip
def test_damaged_rows(damage):
    data = row_to_json(validation_row("m", 8, 1.0, 1.1))
    damage(data)
    with pytest.raises(ReportError, match=r"damaged validated model|not a validated model"):
        row_from_json(data)


def test_why_op_calls_are_unknown_is_kept():
    row = replace(validation_row("m", 8, 1.0, 1.1), unknown=("aten::relu(float32[2]): it raised",))
    assert row_from_json(row_to_json(row)).unknown == row.unknown


def test_a_damaged_file_is_measured_again(tmp_path):
    with Unfinished(tmp_path, {}) as unfinished:
        (tmp_path / FOLDER / "m.json").write_text('{"schema": "opclock.row/1"')
        assert unfinished.row("m") is None


def test_finished_models_in_other_settings_are_never_lost(tmp_path):
    with Unfinished(tmp_path, {"threads": 1}) as first:
        first.keep("m", validation_row("m", 8, 1.0, 1.1))
    with pytest.raises(OptionError, match=r"keeps 1 finished model of an interrupted study with threads 1 \(now 2\): "):
        Unfinished(tmp_path, {"threads": 2})
    with Unfinished(tmp_path, {"threads": 1}) as again:
        assert again.models == ["m"]


def test_without_finished_models_other_settings_begin_anew(tmp_path):
    with Unfinished(tmp_path, {"threads": 1}) as first:
        first.profile.write_bytes(b"rounds")
        mine = first.folder / "mine.txt"
        mine.write_text("mine")
    second = Unfinished(tmp_path, {"threads": 2})
    assert not second.profile.exists()
    second.remove()
    assert [*second.folder.iterdir()] == [mine]


def test_one_study_at_a_time(tmp_path):
    with Unfinished(tmp_path, {}) as first, pytest.raises(OptionError, match="another process measures a study into"):
        Unfinished(tmp_path, {})
    Unfinished(tmp_path, {}).remove()
    assert not first.folder.exists()


def test_a_folder_of_the_user_stays_as_it_is(tmp_path):
    (tmp_path / FOLDER).mkdir()
    mine = tmp_path / FOLDER / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(OptionError, match="not of an unfinished study"):
        Unfinished(tmp_path, {})
    assert [*mine.parent.iterdir()] == [mine]


def test_an_interrupted_study_goes_on(tmp_path, monkeypatch):
    measured: list[str] = []

    def validated(model, *_arguments, **_options):
        name = model.name
        if len(measured) == 2:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(name)
        width = 8 * (1 + NAMES.index(name))
        return validation_row(name, width, 1e-3 * width, 1.01e-3 * width)

    monkeypatch.setattr("opclock.studies.hidden_costs.validate_model", validated)
    command = ["study", "hidden-costs", "--report", str(tmp_path), "--threads", "1", "--processes", "1"]
    first = CliRunner().invoke(commands, command, standalone_mode=False)
    assert "2 finished models kept in" in first.exception.__cause__.__notes__[0]
    assert not (tmp_path / "index.html").exists()
    second = CliRunner().invoke(commands, command)
    assert second.exit_code == 0, second.output
    assert measured == [*NAMES[:2], "interrupted", *NAMES[2:]]
    assert "going on: 2 finished models kept in" in second.output.replace("\n ", "")
    assert (tmp_path / "index.html").exists()
    assert not (tmp_path / FOLDER).exists()
    measured.clear()
    measured.append("begun anew")  # a finished study is not gone on with
    measured.append("and not interrupted")
    measured.append("")
    third = CliRunner().invoke(commands, command)
    assert third.exit_code == 0
    assert measured[3:] == NAMES
