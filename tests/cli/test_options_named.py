"""Help and advice name no option that the command lacks, unless its own command stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from opclock.cli.explaining import ARGUMENT, OPTIONS, explained
from opclock.cli.flags import show_flags
from opclock.cli.main import commands
from opclock.cli.reporting import Reporter
from opclock.errors import ModelError, OptionError
from opclock.flags import MEANINGS, fitted

OPTION = re.compile(r"--[a-z][a-z-]*")
QUOTED = re.compile(r"'opclock ([^']*)'")


def verbs(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands, with the words that call them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from verbs(command, (*words, name))


VERBS = dict(verbs(commands))
OF_PROFILES = {"code_unknown", "measured_earlier", "incomplete", "layout"}  # only estimates and profiles have them
# A group that speaks of options of other commands, which it names.
OF_OTHERS = {("farm",): {"--on"}, ("farm", "join"): {"--on"}}


def options(command: click.Command) -> set[str]:
    return {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def lacking(text: str, own: set[str]) -> list[str]:
    """The options that a text names and that neither a set nor the command that is quoted with them has."""
    found = sorted(set(OPTION.findall(QUOTED.sub("", text))) - own)
    for quoted in QUOTED.findall(text):
        words = tuple(quoted.split())
        command = next((VERBS[words[:count]] for count in (3, 2, 1) if words[:count] in VERBS), None)
        if command is None or set(OPTION.findall(quoted)) - options(command):
            found.append(quoted)
    return found


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_names_options_that_there_are(words):
    command = VERBS[words]
    text = " ".join(command.get_help(click.Context(command, info_name=" ".join(words))).split())
    assert lacking(text, options(command) | OF_OTHERS.get(words, set())) == []


@pytest.mark.parametrize("one", MEANINGS, ids=lambda one: one.flag)
def test_a_flag_names_options_with_their_command(one):
    """A flag is shown by commands that time nothing, in pytest and in notebooks: "--cpus" alone is no advice there."""
    assert lacking(one.remedy, set()) == []


def test_a_flags_advice_fits_the_command_that_shows_it():
    """A gate told its user to choose cores by "opclock measure", and to use a profile that it does not take."""
    contended = next(one.remedy for one in MEANINGS if one.flag == "contended")
    assert fitted(contended, options(VERBS["gate",])) == (
        "Stop other processes, or choose cores (--cpus), and run the command again."
    )
    assert "(--cpus), and measure into a new profile" in fitted(contended, options(VERBS["measure",]))
    assert fitted(contended, options(VERBS["estimate",])) == contended
    for words in (("gate",), ("bench",)):
        assert not [one.flag for one in MEANINGS if "new profile" in fitted(one.remedy, options(VERBS[words]))
                    and one.flag not in OF_PROFILES]  # fmt: skip


def test_what_is_missing_is_found():
    assert lacking("use --cpus", options(VERBS["estimate",])) == ["--cpus"]
    assert lacking("run 'opclock estimate --cpus 1'", set()) == ["estimate --cpus 1"]
    assert lacking("run 'opclock measure --cpus 1' and --help", {"--help"}) == []


@pytest.mark.parametrize(("said", "shown"), [
    ("m has no inputs: give input_text=SHAPE, such as input_ids=1x8:int64",
     "m has no inputs: give --input SHAPE, such as input_ids=1x8:int64"),
    ("--head main: input_text='1xx': not a shape", "--head main: --input '1xx': not a shape"),
    ("name one with batch_dim=NUMBER, or leave it", "name one with --batch-dim NUMBER, or leave it"),
    ("trace it by a real run (real=True)", "trace it by a real run (--real)"),
])  # fmt: skip
def test_advice_in_an_error_names_the_commands_options(said, shown):
    """A gate told its user to give "input_text=", which is Python's."""
    assert explained(ModelError(said))[0] == shown
    assert explained(OptionError(said))[0] == shown


def test_an_argument_of_python_is_an_option():
    assert (
        explained(OptionError("processes=3: explain=True observes one"))[0] == "--processes 3: --explain observes one"
    )
    arguments = re.findall(r"\w+", f"{re.split(r'[()]', ARGUMENT.pattern)[1]} real explain validate predict loops")
    every = set.union(*map(options, VERBS.values()))
    assert [name for name in arguments if OPTIONS.get(name, f"--{name}") not in every] == []


@pytest.mark.parametrize(("given", "advice"), [(None, "run the command again"), ("p.sqlite", "into a new profile")])
def test_who_has_no_profile_is_not_told_to_take_a_new_one(given, advice, capsys):
    """A study into a temporary one said so."""
    with click.Context(VERBS["study", "hidden-costs"]) as context:
        context.params["profile_path"] = given
        show_flags(Reporter(), ["contended"])
    assert advice in " ".join(capsys.readouterr().out.split())
