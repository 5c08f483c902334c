"""What a person reads: on terminals of 80, 100 and 120 columns, and through a pipe. Nothing is timed."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest
from helpers import chain, filled, opclock
from screens import WIDTHS, fits, on_pty, on_screen, piped

from opclock.cli.doctor import report as report_checks
from opclock.cli.main import VERBS
from opclock.cli.reporting import Reporter
from opclock.doctor import Check
from opclock.report.table import fold

CHECKS = [
    Check("extension", "ok", "opclock 0.1.0, commit b052a06"),
    Check("clock", "ok", "x86_tsc at 2596.14 MHz, resolution 10 ns, a read costs 26 ns, "
          "within 2.4e-07 of the OS clock"),
    Check("load", "warning", "1-minute load 0.50", "see 'top' and stop what you can, or wait"),
    Check("torch", "trouble", "OSError: [/x] libfoo.so [bold]is missing", "pip install torch"),
    Check("runtimes", "ok", "eager, compile; without onnxruntime (onnxruntime not installed: pip install "
          "'opclock[onnxruntime]'), openvino (openvino not installed: pip install 'opclock[openvino]')"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A trace file and two profiles of the model, the second slower."""
    folder = tmp_path_factory.mktemp("stored")
    trace = chain("conv2d", "relu", "add", "max_pool2d", "conv2d", "sigmoid", model="resnet50")
    (folder / "trace.json").write_text(json.dumps(trace.to_json()))
    seconds = {"conv2d": 8.03e-3, "relu": 2e-5, "add": 3e-6, "max_pool2d": 1.1e-4, "sigmoid": 5e-5}
    filled(folder / "one.sqlite", trace, seconds, noise=0.02)
    filled(folder / "other.sqlite", trace, {name: 1.5 * value for name, value in seconds.items()}, noise=0.02)
    return folder


def test_doctor_shows_every_name_and_finding(width):
    lines = on_screen(report_checks, CHECKS, Reporter())
    assert fits(lines, width)
    words = " ".join(" ".join(lines).split())
    for check in CHECKS:
        assert any(line.startswith(f"{check.name} ") for line in lines)
        assert all(word in words for word in check.finding.split())
    assert "  pip install torch" in lines


def test_a_finding_folds_under_its_own_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert on_screen(report_checks, CHECKS[:2], Reporter()) == [
        "check      status  finding",
        "extension  ok      opclock 0.1.0, commit b052a06",
        "clock      ok      x86_tsc at 2596.14 MHz, resolution 10 ns, a read costs 26 ns,",
        "                   within 2.4e-07 of the OS clock",
        "this board can be measured well: all 2 checks are ok",
    ]


def test_foreign_text_is_never_markup(no_width):
    text = piped(report_checks, CHECKS, Reporter())
    assert "OSError: [/x] libfoo.so [bold]is missing\n" in text
    assert "pip install 'opclock[onnxruntime]'" in text


def test_a_number_stays_with_its_unit():
    text = "measured 100 %, modelled 0 % in 16.2 ms at 2.60 GHz; 3 models"
    for width in range(20, 40):
        lines = fold(text, width, "  ")
        assert fits(lines, width)
        assert " ".join(line.strip() for line in lines) == text
        assert not [line for line in lines if line.strip().startswith(("%", "ms", "GHz"))]


@pytest.mark.parametrize("width", WIDTHS)
def test_help_on_a_terminal_names_every_verb_in_whole_lines(width):
    lines = on_pty(width, "--help")
    assert fits(lines, min(width, 80))
    assert "..." not in " ".join(lines[1:])
    for group, verbs in VERBS.items():
        assert f"{group}:" in lines
        for name, text in verbs.items():
            assert any(line.split(maxsplit=1) == [name, text] for line in lines)


@pytest.mark.parametrize("verb", [name for verbs in VERBS.values() for name in verbs])
def test_every_verb_has_help_that_fits_and_is_whole(verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = opclock(verb, "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert fits(lines, 80)
    assert not [line for line in lines[1:] if line.endswith("...")]


@pytest.mark.parametrize("width", WIDTHS)
def test_estimate_on_a_terminal(stored, width, no_width):
    arguments = ("estimate", stored / "trace.json", "--profile", stored / "one.sqlite")
    lines = on_pty(width, *arguments)
    assert fits(lines, width)
    assert lines[0].startswith("resnet50, 2 threads on cpu in float32: 16.2 ms [")
    assert "activation      69.8 µs   0.4 %" in lines
    words = " ".join(opclock(*arguments).stdout.splitlines()[1:]).split()
    assert words == " ".join(lines).split()[-len(words) :]  # sentences are folded, tables are not


def test_compare_fits(stored, monkeypatch):
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        done = opclock("compare", stored / "one.sqlite", stored / "other.sqlite")
        assert fits(done.stdout.splitlines(), width)
        assert done.stdout.count("slower") == 6


def test_comparing_estimates_fits(stored, tmp_path, monkeypatch):
    path = tmp_path / "estimate.json"
    made = opclock("estimate", stored / "trace.json", "--profile", stored / "one.sqlite", "--json", path)
    assert made.returncode == 0, made.stderr
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        done = opclock("compare", path, path, "--depth", "1")
        assert fits(done.stdout.splitlines(), width), done.stderr
        assert "verdict: undecided" in " ".join(done.stdout.split())
    refused = opclock("compare", path, stored / "one.sqlite")
    assert refused.returncode == 2
    assert "two profiles, or two estimates" in refused.stderr


def test_ascii_terminals_read_us(no_width):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with redirect_stdout(stream):
        Reporter().say("20.1 µs ± 0.3 µs at 50 °C, ünder")
    assert raw.getvalue() == b"20.1 us +- 0.3 us at 50 C, \\xfcnder\n"


def test_modules_add_up_to_the_total(stored):
    done = opclock("estimate", stored / "trace.json", "--profile", stored / "one.sqlite", "--json", "-")
    data = json.loads(done.stdout)
    assert sum(data["by_module"].values()) == pytest.approx(data["total_s"])
