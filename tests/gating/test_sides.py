"""What --base and --head name, and where their processes run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opclock.errors import GateError, OptionError
from opclock.gating import server
from opclock.gating.sides import choose_side, notes
from opclock.progress import silent


def git(folder, *words):
    done = subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@e", *words], cwd=folder, check=True,
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout.strip()


def choose(text, *, install=False):
    return choose_side("base", text, install=install, progress=silent)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """One commit with a package in src, and a branch without the folder ``inner``; the working folder is ``inner``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    for file in ("src/own/__init__.py", "inner/m.py"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("committed\n")
    git(folder, "init", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "one")
    git(folder, "checkout", "--quiet", "-b", "other")
    git(folder, "rm", "-r", "--quiet", "inner")
    git(folder, "commit", "--message", "two")
    git(folder, "checkout", "--quiet", "main")
    monkeypatch.chdir(folder / "inner")
    return folder


def test_a_revision_is_checked_out_once(repository):
    side = choose("main")
    tree = side.checkout.tree
    assert side.folder == tree / "inner"
    assert side.places == tuple(map(str, (tree / "inner", tree / "src", tree)))
    assert side.python == sys.executable
    assert str(side) == f"main ({side.checkout.commit[:12]})"
    made = (tree / "inner/m.py").stat().st_mtime_ns
    again = choose(side.checkout.commit[:10])
    assert again.checkout == side.checkout
    assert (tree / "inner/m.py").stat().st_mtime_ns == made


@pytest.mark.parametrize("damage", ["changed", "interrupted", "removed"])
def test_a_checkout_that_is_not_whole_is_made_again(repository, damage):
    tree = choose("main").checkout.tree
    if damage == "changed":
        (tree / "inner/m.py").write_text("changed")
    elif damage == "interrupted":
        (tree.parent / "done").unlink()
        (tree / "inner/m.py").unlink()
    else:
        for path in sorted(tree.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        tree.rmdir()
    assert (choose("main").folder / "m.py").read_text() == "committed\n"


def test_the_working_tree_is_used_as_it_is(repository):
    (repository / "inner/m.py").write_text("changed")
    side = choose(".")
    assert side.checkout is None
    assert side.folder == repository / "inner"
    head = git(repository, "rev-parse", "HEAD")
    assert (side.to_json()["commit"], side.to_json()["changed"]) == (head, True)
    assert str(side) == f". ({head[:12]}, changed)"
    assert str(repository / "src") in side.places
    assert side.model("m.py:f") == "m.py:f"
    head = choose("HEAD")
    assert notes((side, head)) == [
        f"{head} lacks what was changed since the last commit: --head . takes the working tree as it is"
    ]


def test_a_file_named_in_full_is_that_of_the_revision(repository):
    side = choose("main")
    assert side.model(f"{repository}/inner/m.py:f") == f"{side.folder}/m.py:f"
    assert side.model("/elsewhere/m.py:f") == "/elsewhere/m.py:f"
    assert side.model("zoo:mobilenet") == "zoo:mobilenet"


def test_a_revision_without_this_folder(repository):
    with pytest.raises(GateError, match="--base other: the revision has no folder inner"):
        choose("other")


def test_environments_and_interpreters(repository, tmp_path):
    (tmp_path / "env/bin").mkdir(parents=True)
    python = tmp_path / "env/bin/python"
    python.write_text("#!/bin/sh\necho '[[3, 11, 0], []]'\n")  # its version, and what it lacks
    python.chmod(0o755)
    assert choose(str(tmp_path / "env")).python == str(python)
    assert choose(str(python)).python == str(python)
    assert choose(str(python)).folder == Path.cwd()


def test_a_branch_wins_over_a_folder_of_its_name(repository):
    (repository / "inner/main").mkdir()
    assert choose("main").checkout is not None
    assert choose("./main").checkout is None


def test_nothing_to_install(repository):
    with pytest.raises(OptionError, match=r"--install: .* has no pyproject.toml"):
        choose("main", install=True)


def test_outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="there is no git repository here"):
        choose("main")


def test_a_program_that_is_no_python_is_no_side(tmp_path, monkeypatch):
    """Outside of a repository, "HEAD" ran libwww-perl's program of this name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(OptionError, match="there is no git repository here"):
        choose("HEAD")
    monkeypatch.setattr("opclock.gating.sides.fault_of", lambda *_: "")
    assert choose("python3.12").python == "/usr/bin/python3.12"


def test_the_path_of_a_revision_has_no_place_in_the_working_tree(monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/top/.venv")
    moved = [server._moved(place, "/top", "/tree") for place in ("/top/src", "/top", "/top/.venv/lib", "/lib", "")]
    assert moved == ["/tree/src", "/tree", "/top/.venv/lib", "/lib", ""]


def test_a_module_of_the_working_tree_is_found(tmp_path, monkeypatch):
    module = type(sys)("stranger")
    module.__file__ = str(tmp_path / "stranger.py")
    monkeypatch.setitem(sys.modules, "stranger", module)
    assert server._stranger(str(tmp_path), "/tree") == f"stranger ({tmp_path}/stranger.py)"
    assert server._stranger("/nowhere", "/tree") == ""
