"""Results on devices, pipes and standard streams: what is there stays, and a failure is one line."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import opclock_process, refused

posix = pytest.mark.skipif(os.name != "posix", reason="needs devices and pipes")
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
OPCLOCK = (sys.executable, "-m", "opclock")


def is_result(text):
    return json.loads(text)["schema"] == "opclock.estimate/1"


@root
def test_a_device_stays_a_device(tmp_path, estimated):
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    done = opclock_process(*estimated("--json", device))
    assert done.returncode == 0, done.stderr
    assert stat.S_ISCHR(device.stat().st_mode)


@root
def test_a_full_device_is_one_line_and_stays_a_device(tmp_path, estimated):
    device = tmp_path / "full"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    refused(opclock_process(*estimated("--json", device)), "No space left", str(device))
    assert stat.S_ISCHR(device.stat().st_mode)


@posix
def test_a_pipe_gets_the_result_and_stays_a_pipe(tmp_path, estimated):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    done = opclock_process(*estimated("--json", pipe))
    reader.join(60)
    assert done.returncode == 0, done.stderr
    assert is_result(read[0])
    assert pipe.is_fifo()


@posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_name_takes_the_table_and_then_json(tmp_path, estimated, name):
    arguments = estimated("--json", name)
    through = subprocess.run([*OPCLOCK, *arguments], capture_output=True, text=True, check=True)
    table, json_text = through.stdout.split("\n{\n", 1)
    assert "operator class" in table
    assert is_result("{\n" + json_text)
    with (tmp_path / "out.txt").open("w") as out:
        out.write("before\n")
        out.flush()
        subprocess.run([*OPCLOCK, *arguments], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "before\n" + through.stdout


@posix
def test_a_process_substitution_gets_the_result(tmp_path, estimated):
    command = f"{shlex.join((*OPCLOCK, *estimated()))} --json >(cat > {tmp_path}/copy)"
    subprocess.run(["bash", "-c", f"{command}; sleep 0.5; wait"], check=True, capture_output=True)
    assert is_result((tmp_path / "copy").read_text())


@pytest.mark.parametrize("options", [(), ("--json", "-")])
def test_a_reader_that_wants_no_more_is_no_failure(estimated, options):
    arguments = estimated(*options)
    with subprocess.Popen([*OPCLOCK, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        process.stdout.close()  # before the first line
        complaint = process.stderr.read().decode()
        assert process.wait(120) == 0, complaint
    assert "Error" not in complaint


@posix
@pytest.mark.parametrize("options", [(), ("--json", "-"), ("--help",)])
def test_a_full_disk_on_standard_output_is_one_line(estimated, options):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([*OPCLOCK, *estimated(*options)],
                              check=False, stdout=full, stderr=subprocess.PIPE, text=True)  # fmt: skip
    refused(done, "No space left on device")
    assert len(done.stderr.strip().splitlines()) == 1 or options == ("--json", "-"), done.stderr


@pytest.mark.parametrize("environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
                                         {"PYTHONIOENCODING": "ascii"}])  # fmt: skip
def test_a_terminal_without_unicode(estimated, environment):
    for arguments in (estimated(), ("--help",), ("sweep", "--help"), ("estimate", "no-µ-model")):
        done = opclock_process(*arguments, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == (2 if "no-µ-model" in arguments else 0)


@posix
def test_closed_standard_streams(estimated):
    command = shlex.join((*OPCLOCK, *estimated()))
    for closing in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(["bash", "-c", f"{command} {closing}"], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    done = subprocess.run(["bash", "-c", f"{command} --json - >&-"], check=False, capture_output=True, text=True)
    refused(done, "--json -: standard output is closed")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_for_the_json_leaves_the_table(estimated):
    done = opclock_process(*estimated("--json", "/dev/full"))
    assert done.returncode == 2
    assert "convolution" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("opclock: cannot write /dev/full")
    assert "make room" in done.stderr
    assert "Traceback" not in done.stderr
