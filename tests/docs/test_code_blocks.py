"""README and docs say what the code does: Python blocks run, commands parse, every name in code style exists."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import opclock
from opclock.cli.main import commands
from opclock.testing import plugin

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN_ELSEWHERE = "add-a-kernel.md"  # the tests of sweeps run its block, and check what it finds
MARKS = {"runtimes.md": pytest.mark.runtimes("onnxruntime")}
PYTHON_PAGES = [
    pytest.param(page, marks=MARKS.get(page.name, ()))
    for page in PAGES
    if "```python" in page.read_text(encoding="utf-8") and page.name != RUN_ELSEWHERE
]
FOLDERS = ("python/", "csrc/", "docs/", "tests/", "benchmarks/", "cmake/", "examples/", ".ci/")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    parser = CodeBlockParser(language=language, evaluator=lambda _example: None)
    return [str(example.parsed) for example in Document.parse(str(page), parser).examples()]


def spans(page: Path) -> list[str]:
    """The pieces of prose in code style."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.replace("\\|", "|").split()) for span in re.findall(r"`([^`]+)`", prose)]


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words call, and the words after its name."""
    command: click.Command = commands
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            break
        command, words = inner, words[1:]
    return command, words


def options(command: click.Command) -> set[str]:
    return {text for parameter in command.get_params(click.Context(command)) for text in parameter.opts}


def everything(command: click.Command = commands) -> set[str]:
    """The options of a command and of all below it."""
    found = options(command)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found |= everything(command.get_command(context, inner))
    return found


def of_pytest() -> set[str]:
    """The options of the pytest plugin."""
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    return {name for option in parser.getgroup("opclock").options for name in option.names()}


def check(words: list[str]) -> None:
    """Parse a whole command line and convert its values, without running anything."""
    command, rest = find(words)
    assert not (isinstance(command, click.Group) and not command.invoke_without_command), f"no command {words}"
    context = click.Context(command)
    values, left, order = command.make_parser(context).parse_args(list(rest))
    assert not left, f"{words}: {left} is too much"
    for parameter in set(order):
        if values[parameter.name] and isinstance(values[parameter.name], str | tuple):
            parameter.type_cast_value(context, values[parameter.name])


def called(block: str) -> list[list[str]]:
    """The calls of opclock in a block of shell lines that begin with a prompt."""
    found = []
    for line in re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), re.MULTILINE):
        words = list(shlex.shlex(line, posix=True, punctuation_chars=True)) if "&&" in line else None
        for part in " ".join(words).split("&&") if words else [line]:
            one = shlex.split(part, comments=True)
            if one and one[0] == "opclock":
                found.append(one[1:])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all pages, as a reader has it: what a profile holds is not measured again."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.usefixtures("short_sampling", "quick_ceilings")
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: name(page))
def test_python_blocks_run(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    examples = list(Document.parse(str(page), PythonCodeBlockParser()).examples())
    assert examples
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_blocks_parse(page):
    for block in blocks(page, "console"):
        for words in called(block):
            check(words)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_in_prose_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = everything() | of_pytest()
    for span in spans(page):
        words = span.split()
        if words[0] == "opclock" and len(words) > 1 and not span.endswith("..."):  # an output, or an example cut short
            command, rest = find(words[1:])
            assert command is not commands or rest[0].startswith("-"), f"there is no command {span!r}"
            given = {word for word in rest if word.startswith("--")} - {"--help"}
            assert given <= options(command), f"{span!r}: no option {given - options(command)}"
        elif words[0].startswith("--"):
            assert words[0] in known, f"no command has {words[0]}"
        elif words[0] == "make" and len(words) == 2:
            assert words[1] in targets, f"no target {span!r}"
        elif re.fullmatch(r"[\w./-]+", span) and span.startswith(FOLDERS):
            assert (ROOT / span).exists(), f"there is no {span}"
        elif re.fullmatch(r"opclock(\.\w+)+", span) and not span.endswith(".sqlite"):
            check_name(span)


def check_name(text: str) -> None:
    """Raise unless a dotted name is a module, or a name in one."""
    package, _, last = text.rpartition(".")
    try:
        importlib.import_module(text)
    except ImportError:
        assert hasattr(importlib.import_module(package), last), f"there is no {text}"


def test_every_public_name_has_a_place_in_the_reference():
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: opclock\.(?:[\w.]+\.)?(\w+)$", page, re.MULTILINE))
    assert listed == {public for public in opclock.__all__ if not public.startswith("__")}
