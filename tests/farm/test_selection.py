"""Which boards take part, and which are fit at this moment: nothing runs here."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

from opclock.board.state import BoardState
from opclock.cli.on import on_options
from opclock.errors import FarmError
from opclock.farm import gate
from opclock.farm.board import FarmBoard
from opclock.farm.selection import chosen, refusals

A = FarmBoard("a", "", ("a76", "cooled"), {}, (), {"opclock": "1", "torch": "2.9.1"}, "", "", 0.0, "", False)
B, C = replace(A, name="b", tags=("a55",)), replace(A, name="c", tags=())


@pytest.mark.parametrize(
    ("text", "names"), [("all", "abc"), ("tag:a76", "a"), ("c,tag:a55", "bc"), ("a, a", "a"), ("tag:cooled,c", "ac")]
)
def test_on_names_boards_and_tags(text, names):
    assert "".join(board.name for board in chosen(text, [C, A, B])) == names


def test_on_may_be_given_several_times():
    """The last one alone counted."""

    @click.command()
    @on_options
    def verb(on, **_):
        click.echo(on)

    answers = [CliRunner().invoke(verb, words).output for words in ([], ["--on", "a", "--on=tag:a55"])]
    assert answers == ["\n", "a,tag:a55\n"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("d", "^--on 'd': no board 'd'; there are: a, b, c"),
        ("tag:x", "a55, a76, cooled"),
        ("a,", "a name is missing; write"),
    ],
)
def test_a_name_of_no_board_is_refused_with_those_that_there_are(text, words):
    with pytest.raises(FarmError, match=words):
        chosen(text, [A, B, C])
    with pytest.raises(FarmError, match="'opclock farm join' on a board"):
        chosen(text, [])


def test_where_no_board_has_a_tag_none_is_made_up():
    """'no board has the tag 'none'; there are: none' was said."""
    with pytest.raises(FarmError, match=r"no board has a tag; name some: b, c$"):
        chosen("tag:none", [replace(B, tags=()), C])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"versions": {"opclock": "2", "torch": "2.9.1"}}, "it has opclock 2, this machine 1"),
        ({"versions": {"opclock": "1", "torch": "2.13.0"}}, "it has torch 2.13.0, the others 2.9.1"),
        ({"trouble": "torch: cannot be imported"}, "its doctor found trouble: torch: cannot"),
        ({"skew_s": -86_400.0}, "its clock is 24 h behind"),
        ({"drained": True}, "it is drained"),
    ],
)
def test_a_board_that_differs_is_refused_by_name(changes, reason):
    refused = refusals([A, B, replace(C, **changes)], "1")
    assert list(refused) == ["c"]
    assert reason in refused["c"]


def test_a_board_alone_may_have_any_torch():
    assert refusals([replace(A, versions={"opclock": "1", "torch": "2.13.0"})], "1") == {}


STATE = BoardState({}, (), {"cpu": 45.0}, (), 0.0, (0,))


@pytest.mark.parametrize(
    ("state", "used", "reason"),
    [
        (STATE, 10.0, ""),
        (STATE, 80.0, "load: other programs use 0.8 of 1 core"),
        (replace(STATE, throttle=("throttled",)), 0.0, "throttling: throttled"),
        (replace(STATE, throttle=("throttling has occurred",)), 0.0, ""),
        (replace(STATE, temperatures_c={"cpu": 84.0}), 0.0, "throttling: temperature 84 °C"),
        (replace(STATE, governors={"0-3": "schedutil"}), 0.0, "governor: schedutil on cores 0-3"),
    ],
)
def test_what_a_board_does_now_decides_whether_it_measures(monkeypatch, state, used, reason):
    """Not the load of the last minute, which is the job before, nor what has been since it booted."""
    for place in ("opclock.farm.gate.read_state", "opclock.doctor.read_state"):
        monkeypatch.setattr(place, lambda: state)
    monkeypatch.setattr(gate, "allowed_cores", lambda: (0,))
    monkeypatch.setattr(gate.psutil, "cpu_percent", lambda _seconds, percpu: [used])
    assert gate.unfit(()).startswith(reason)
    assert bool(gate.unfit(())) == bool(reason)
    assert gate.unfit(("throttling", "load", "governor")) == ""


def test_a_hot_board_is_waited_for_and_no_longer_than_somebody_waits(monkeypatch):
    monkeypatch.setattr(gate, "AGAIN_S", 0.0)
    answers = iter(["hot", "hot", ""])
    monkeypatch.setattr(gate, "unfit", lambda _accepted: next(answers))
    assert gate.wait_until_fit((), wait=True, ended=lambda: False) == ""
    monkeypatch.setattr(gate, "unfit", lambda _accepted: "hot")
    assert gate.wait_until_fit((), wait=True, ended=lambda: True) == "hot"
    assert gate.wait_until_fit((), wait=False, ended=lambda: False) == "hot"


def test_a_drained_board_has_its_last_job_first():
    draining = replace(A, drained=True, job="opclock-1-2")
    assert [board.state for board in (draining, replace(draining, job=""))] == ["draining", "drained"]
    assert "'opclock farm cancel a' ends at once" in refusals([draining], "1")["a"]
    assert "'opclock farm join' on it" in refusals([replace(draining, job="")], "1")["a"]
