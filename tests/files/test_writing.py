"""What is written where: nothing is destroyed, and nothing is half-written. Each use is a process of its own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import opclock_process, refused

from opclock.errors import OptionError, ProfileError
from opclock.files import check_writable, json_text, prepare_folder, write_whole
from opclock.profiles.profile import Profile

posix = pytest.mark.skipif(os.name != "posix", reason="needs devices, pipes and permissions")
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
not_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
OLD = b"what was there"


@pytest.fixture
def old(tmp_path):
    """A file with content."""
    path = tmp_path / "old.json"
    path.write_bytes(OLD)
    return path


def is_result(text):
    return json.loads(text)["schema"] == "opclock.estimate/1"


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".opclock")]


@posix
@pytest.mark.parametrize("target", ["old.json", "new.json"])
def test_a_link_stays_and_its_target_changes(tmp_path, estimated, old, target):
    link = tmp_path / "link.json"
    link.symlink_to(target)  # relative, dangling where the target is new
    done = opclock_process(*estimated("--json", link))
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert is_result((tmp_path / target).read_text())


@posix
def test_links_in_a_circle_are_refused(tmp_path):
    for name, target in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to(target)
    for act in (check_writable, lambda path: write_whole(path, b"x")):
        with pytest.raises(OptionError, match="cannot write"):
            act(tmp_path / "a")


def test_a_full_disk_leaves_the_old_file(tmp_path, old, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OptionError, match="No space left on device"):
        write_whole(old, b"new" * 1000)
    assert old.read_bytes() == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


@root
def test_a_really_full_disk_leaves_the_old_file(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        write_whole(disk / "file", OLD)
        with pytest.raises(OptionError, match="No space left"):
            write_whole(disk / "file", bytes(1 << 20))
        assert (disk / "file").read_bytes() == OLD
        assert not leftovers(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


@not_root
def test_a_read_only_folder_is_refused_before_the_work(tmp_path, old):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OptionError, match="cannot write"):
            check_writable(old)
        with pytest.raises(OptionError, match="cannot write"):
            write_whole(old, b"new")
        with pytest.raises(OptionError, match="cannot write into"):
            prepare_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert old.read_bytes() == OLD


@root
def test_a_read_only_disk_is_refused_before_the_work(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        done = opclock_process("sweep", "gemm", "--m", "1", "--n", "1", "--k", "1", "--json", disk / "file")
        refused(done, "cannot write", "Read-only file system")
    finally:
        subprocess.run(["umount", disk], check=True)


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_permissions_are_kept(old, mode):
    old.chmod(mode)
    write_whole(old, b"new")
    assert stat.S_IMODE(old.stat().st_mode) == mode
    assert old.read_bytes() == b"new"


@root
def test_the_owner_is_kept(old):
    os.chown(old, 12345, 54321)
    write_whole(old, b"new")
    assert (old.stat().st_uid, old.stat().st_gid) == (12345, 54321)


@posix
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    write_whole(tmp_path / "ours", b"new")
    (tmp_path / "any").write_bytes(b"new")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_checking_touches_nothing(tmp_path, old):
    check_writable(old)
    check_writable(tmp_path / "new")
    assert old.read_bytes() == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    for bad in (tmp_path, tmp_path / "no folder" / "file", old / "file"):
        with pytest.raises(OptionError, match="cannot write"):
            check_writable(bad)


def test_json_does_not_replace_a_profile(profile, estimated):
    before = profile.read_bytes()
    refused(opclock_process(*estimated("--json", profile)), "is a profile")
    assert profile.read_bytes() == before


def test_json_does_not_replace_a_file_that_the_command_reads(tmp_path, trace_file, estimated):
    """A trace became an estimate, and a model's source became a trace."""
    source = tmp_path / "model.py"
    source.write_text("def make(): pass\n")
    link = tmp_path / "link.json"
    link.symlink_to(trace_file)
    for arguments, kept in (
        (estimated("--json", trace_file), trace_file),
        (estimated(f"--json={link}"), trace_file),
        (("trace", f"{source}:make", "--json", source), source),
    ):
        before = kept.read_bytes()
        refused(opclock_process(*arguments), "names this file twice")
        assert kept.read_bytes() == before


def test_json_may_replace_an_older_result(tmp_path, estimated):
    result = tmp_path / "result.json"
    result.write_text("{}")
    done = opclock_process(*estimated("--json", result))
    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text())["schema"] == "opclock.estimate/1"


@posix
def test_a_profile_is_a_file_and_links_to_it_stay(tmp_path, profile):
    from helpers import BOARD

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path, tmp_path / "circle"):
        for act in (Profile.open, lambda path: Profile.create_or_open(path, BOARD)):
            with pytest.raises(ProfileError, match=r"device or a pipe|folder|symbolic links"):
                act(path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    link = tmp_path / "link.sqlite"
    link.symlink_to("new.sqlite")
    for _ in range(2):  # dangling, then not
        Profile.create_or_open(link, BOARD).close()
    assert link.is_symlink()
    assert Profile.open(tmp_path / "new.sqlite").board() == Profile.open(link).board()


def test_json_never_holds_nan():
    data = {"a": float("nan"), "b": [float("inf"), 1.5, (-float("inf"),)], "c": "NaN"}
    assert json.loads(json_text(data)) == {"a": None, "b": [None, 1.5, [None]], "c": "NaN"}


def test_json_takes_what_numpy_made():
    """A sweep's answer was lost for one bool of NumPy."""
    data = {
        "kept": np.bool_(True),
        "b": [np.float32(0.5), np.int64(3), np.arange(2)],
        np.int64(4): Path("a"),
        "n": np.float64("nan"),
    }
    assert json.loads(json_text(data)) == {"kept": True, "b": [0.5, 3, [0, 1]], "4": "a", "n": None}
