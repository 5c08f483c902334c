"""--markdown FILE: what a command prints, for a pull request."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from helpers import chain, filled, opclock

from opclock.cli.main import commands
from opclock.report.table import Table, escaped, texts

GOLDEN = Path(__file__).with_name("golden") / "estimate.md"


def every(command=commands, path=()):
    """All commands that are not groups, by name."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from every(command.get_command(context, name), (*path, name))


@pytest.fixture
def model(tmp_path):
    """A trace and a profile."""
    trace, profile = tmp_path / "chain.json", tmp_path / "p.sqlite"
    chain("conv2d", "relu").save(trace)
    filled(profile, chain("conv2d", "relu"), {"conv2d": 3e-3, "relu": 1e-3}, host_s=0.0, flags=("throttled",))
    return trace, profile


def test_every_command_that_prints_a_result_takes_it():
    printing = {name for name, command in every() if any(one.name == "reporter" for one in command.params)}
    taking = {name for name, command in every() if any("--markdown" in one.opts for one in command.params)}
    assert taking == printing | {"study landscape"}


def test_tables_and_sentences_in_the_order_in_which_they_are_printed(model, tmp_path):
    trace, profile = model
    target = tmp_path / "estimate.md"
    done = opclock("estimate", trace, "--profile", profile, "--markdown", target)
    assert done.returncode == 0, done.stderr
    assert target.read_text() == GOLDEN.read_text()


def test_it_is_whole_although_the_command_says_no(model, tmp_path):
    trace, profile = model
    target = tmp_path / "estimate.md"
    assert opclock("estimate", trace, "--profile", profile, "--markdown", target, "--strict").returncode == 1
    assert "throttled" in target.read_text()


def test_a_command_that_fails_before_it_prints_leaves_the_file(model, tmp_path):
    target = tmp_path / "kept.md"
    target.write_text("before")
    assert opclock("estimate", tmp_path / "none.json", "--profile", model[1], "--markdown", target).returncode == 2
    assert target.read_text() == "before"


def test_json_on_standard_output_and_markdown_go_together(model, tmp_path):
    target = tmp_path / "info.md"
    done = opclock("profile", "info", model[1], "--json", "-", "--markdown", target)
    assert done.stdout.startswith("{")
    assert target.read_text().startswith("| content")


def test_without_tabulate_it_says_so_at_once(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    done = opclock("estimate", "not a model", "--markdown", tmp_path / "x.md")
    assert done.returncode == 2
    assert "opclock[report]" in done.stderr


@pytest.mark.parametrize(("text", "shown"), [
    ("aten::relu_(float32[1x3])", r"aten::relu\_(float32[1x3])"),
    ("layer_1.conv_2", "layer_1.conv_2"),
    ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
    ("<0.1 % | a*b", r"<0.1 % \| a\*b"),
])  # fmt: skip
def test_markup_in_a_name_is_text(text, shown):
    assert escaped(text) == shown
    *_, row = Table([texts("name", [text])]).to_markdown().splitlines()
    assert row.strip("| ") == shown
