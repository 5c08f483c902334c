"""What boards have sent, taken into files of this machine. No board takes part."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from helpers import chain, filled

from opclock.errors import ProfileError
from opclock.farm.job import Outcome
from opclock.farm.result import take_profile
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
