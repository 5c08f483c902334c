"""What boards have sent, taken into files of this machine. No board takes part."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace

import pytest
from helpers import chain, filled

from opclock.errors import ProfileError
from opclock.farm.job import Job, Outcome
from opclock.farm.result import take_profile
from opclock.farm.running import Runner
from opclock.profiles.profile import Profile


def test_a_profile_is_merged_once_and_only_whole(tmp_path):
    filled(tmp_path / "sent.sqlite", chain("relu"), {"relu": 1e-6})
    sent = (tmp_path / "sent.sqlite").read_bytes()
    outcome = Outcome("a", "done", profile=sent, profile_sha256=hashlib.sha256(sent).hexdigest())
    for _ in range(2):
        take_profile(outcome, tmp_path / "mine.sqlite")
    with Profile.open(tmp_path / "mine.sqlite") as profile:
        assert profile.ask("SELECT count(*) FROM pool") == [(1,)]
    with pytest.raises(ProfileError, match="did not arrive whole"):
        take_profile(replace(outcome, profile=sent[:-1]), tmp_path / "mine.sqlite")


def test_an_answer_for_which_the_board_has_no_room_arrives(tmp_path, monkeypatch):
    """What a sweep had measured when it filled the disk was dropped with the copy that the board could not keep."""
    whole = Outcome("a", "failed", "the disk is full", 2, profile=b"rounds")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Runner, "_ran", lambda *_arguments: whole)
    monkeypatch.setattr(Runner, "_keep", full)
    runner = Runner("a", tmp_path, ("throttling", "governor", "load"))
    assert runner.run(Job((), "name:a", (), id="1"), cancelled=lambda: False) == whole
