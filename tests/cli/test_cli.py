"""The command line as a user meets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from helpers import opclock, opclock_process, opclock_short, refused

from opclock.profiles.profile import Profile

FACTORIES = """
import torch
def good():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()), (torch.randn(1, 3, 8, 8),)
def no_inputs():
    return torch.nn.Linear(4, 4)
def raises():
    raise ValueError("weights are elsewhere\\nand a second line")
def number():
    return 7
def broken():
    class Broken(torch.nn.Module):
        def forward(self, x):
            return x.reshape(-1, 7)
    return Broken(), (torch.randn(3, 3),)
class Refuses(torch.nn.Module):
    def forward(self, x):
        if type(x) is torch.Tensor and not isinstance(x, torch._subclasses.FakeTensor):
            raise RuntimeError("not on real data")
        return x + 1
def refuses():
    return Refuses(), (torch.randn(3),)
def exits():
    raise SystemExit(0)
def identity():
    return torch.nn.Identity(), (torch.randn(3),)
not_callable = 3
"""


@pytest.fixture(scope="module")
def factories(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "factories.py"
    path.write_text(FACTORIES)
    return path


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("zoo:nothing", ["zoo", "nothing", "vgg16"]),
        ("nothing", ["zoo:NAME"]),
        ("FILE:raises", ["raised ValueError", "weights are elsewhere"]),
        ("FILE:exits", ["exited (sys.exit)", "the factory"]),
        ("FILE:number", ["returned int", "torch.nn.Module"]),
        ("FILE:absent", ["no factory 'absent'", "good"]),
        ("FILE:not_callable", ["is an object of type int", "name a function"]),
        ("FILE:no_inputs", ["--input"]),
        ("FILE:broken", ["broken", "input fits"]),
        ("none.py:good", ["no file none.py"]),
        ("no.such.package:good", ["cannot import"]),
    ],
)
def test_bad_models(factories, model, words):
    refused(opclock("trace", model.replace("FILE", str(factories))), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "1x3xbig"], ["1x3xbig", "1x3x32x32"]),
        (["--input", "99999999x9999999"], ["99999999x9999999", "smaller"]),
        (["--input", "99999999999999999999x2"], ["99999999999999999999x2", "smaller"]),
        (["--input", "1x5x8x8"], ["input fits"]),
        (["--input", "0x3x8x8"], ["0x3x8x8"]),
        (["--dtype", "float3"], ["float3", "float32"]),
        (["--json", "/nowhere/x.json"], ["/nowhere/x.json"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
)
def test_bad_options(factories, options, words):
    refused(opclock("trace", f"{factories}:good", *options), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threads", "0"], ["--threads 0"]),
        (["--threads", "999"], ["--threads 999"]),
        (["--threads", "two"], ["two"]),
        (["--device", "tpu"], ["tpu"]),
        (["--max-error", "-1"], ["-1"]),
        (["--max-error", "nan"], ["nan"]),
        (["--weights", "none.pt"], ["none.pt"]),
        (["--data", "/nowhere"], ["/nowhere", "test.bin"]),
        (["--report", "/proc/report"], ["/proc/report"]),
        (["--profile", "/nowhere/p.sqlite"], ["/nowhere"]),
    ],
)
def test_bad_validate_options(factories, options, words):
    refused(opclock("validate", f"{factories}:good", *options), *words)


def test_a_model_that_raises_on_real_data_cannot_be_validated(factories):
    refused(opclock("validate", f"{factories}:refuses"), "raised", "not on real data")


def test_profile_that_is_none(factories, tmp_path):
    file = tmp_path / "p.sqlite"
    file.write_text("some text of mine\n" * 100)
    refused(opclock("measure", f"{factories}:good", "--profile", file), "p.sqlite")
    refused(opclock("estimate", f"{factories}:good", "--profile", file), "p.sqlite")
    assert file.read_text() == "some text of mine\n" * 100
    refused(opclock("estimate", f"{factories}:good", "--profile", tmp_path / "none.sqlite"), "opclock measure")


def test_a_model_without_op_calls_leaves_no_profile(factories, tmp_path):
    refused(opclock("measure", f"{factories}:identity", "--profile", tmp_path / "p.sqlite"), "makes no op call")
    assert not (tmp_path / "p.sqlite").exists()


@pytest.mark.usefixtures("short_sampling")
def test_trace_measure_estimate(factories, tmp_path):
    profile, stored = tmp_path / "p.sqlite", tmp_path / "t.json"
    assert opclock("trace", f"{factories}:good", "--json", stored).returncode == 0
    piped = opclock("trace", f"{factories}:good", "--json", "-")
    assert json.loads(piped.stdout) == json.loads(stored.read_text())
    incomplete = opclock("measure", f"{factories}:good", "--profile", profile, "--threads", 1)
    assert incomplete.returncode == 0, incomplete.stderr
    assert "2 op calls timed" in incomplete.stdout
    copied = tmp_path / "laptop.sqlite"
    shutil.copy(profile, copied)
    done = opclock("estimate", stored, "--profile", copied, "--threads", 1, "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["total_s"] > 0
    assert data["coverage"]["measured"] == 1
    refused(opclock("estimate", f"{factories}:good", "--input", "2x3x8x8", "--profile", copied, "--threads", 1),
            "no measurement", "opclock measure")  # fmt: skip


@pytest.mark.usefixtures("short_sampling")
def test_validate_json_report_and_max_error(factories, tmp_path):
    report = tmp_path / "report"
    done = opclock(
        "validate", f"{factories}:good", "--threads", 1, "--json", "-", "--report", report, "--max-error", 1e-9,
        "--explain",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "beyond --max-error" in done.stderr
    data = json.loads(done.stdout)
    assert data["schema"] == "opclock.validation/1"
    assert data["rows"][0]["model"] == "good"
    explained = data["rows"][0]["explanation"]
    assert explained["by_class"][-1]["class"] == "host"
    assert "estimate - measured = " in done.stderr
    assert {path.name for path in report.iterdir()} == {
        "validation.csv", "validation.md", "validation.json", "by-class.csv"
    }  # fmt: skip


def test_doctor():
    done = opclock("doctor", "--json", "-")
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert set(checks) == {
        "extension", "clock", "cores", "quota", "governor", "throttling", "load", "memory", "pages", "torch",
        "operators", "device", "runtimes"
    }  # fmt: skip
    assert all(check["remedy"] for check in checks.values() if check["status"] != "ok")


def test_doctor_survives_a_torch_that_kills_its_process(tmp_path):
    fake = tmp_path / "torch"
    fake.mkdir()
    (fake / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    done = opclock_process("doctor", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "instructions" in done.stdout
    assert "remedy for torch" in done.stdout


def test_without_torch_and_with_another_one(tmp_path, factories):
    fake = tmp_path / "torch"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise ImportError('no torch here')\n")
    refused(opclock_process("measure", f"{factories}:good", env={"PYTHONPATH": str(tmp_path)}), "torch")
    code = "import opclock._core as core; core.BUILD_TORCH = '2.6.0'; from opclock.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "measure", f"{factories}:good"], capture_output=True, text=True,
                          check=False, cwd=factories.parent)  # fmt: skip
    refused(done, "built against torch 2.6.0", "pip install")


def test_help_and_version():
    assert "validate" in opclock_process("--help").stdout
    assert opclock("--version").stdout.startswith("opclock, version")
    assert opclock().returncode == 2


def test_torchvision_that_is_missing_is_one_line(tmp_path):
    fake = tmp_path / "torchvision"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise ImportError('no torchvision here')\n")
    done = opclock_process("trace", "torchvision:resnet18", env={"PYTHONPATH": str(tmp_path)})
    refused(done, "torchvision", "no torchvision here")


def test_pinned_to_one_core(factories, tmp_path):
    core = min(os.sched_getaffinity(0))
    profile = tmp_path / "pinned.sqlite"
    done = opclock_short("measure", f"{factories}:good", "--cpus", core, "--profile", profile)
    assert done.returncode == 0, done.stderr
    with Profile.open(profile) as kept:
        pool = kept.pool(1)
    assert pool.condition.threads == 1
    assert pool.context["before"]["affinity"] == [core]


def test_cores_and_threads_that_do_not_fit_are_refused(factories, tmp_path):
    core = min(os.sched_getaffinity(0))
    profile = tmp_path / "never.sqlite"
    measure = ["measure", f"{factories}:good", "--profile", profile]
    refused(opclock(*measure, "--cpus", "4000"), "--cpus 4000", "this process may use cores")
    refused(opclock(*measure, "--cpus", "4-"), "'4-'", "4-7")
    refused(
        opclock_process(*measure, "--cpus", core, "--threads", 2),
        "--threads 2",
        "may use 1 core",
        "wait for one another",
    )
    assert not profile.exists()
