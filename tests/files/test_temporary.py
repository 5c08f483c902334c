"""Temporary folders: each ends with its block, or with the next one after its process was killed."""

from __future__ import annotations

import os
import tempfile

from opclock.temporary import PREFIX, temporary_folder

NOBODY = 2**22 + 1  # above the largest process number


def test_folders_of_a_killed_process_go_with_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, alive, other = (tmp_path / f"{PREFIX}{middle}" for middle in (f"{NOBODY}-abc", f"{os.getpid()}-abc", "abc"))
    for folder in (left, alive, other):
        folder.mkdir()
        (folder / "profile.sqlite").touch()
    with temporary_folder() as folder:
        assert folder.is_dir()
    assert [path for path in (left, alive, other, folder) if path.exists()] == [alive, other]
