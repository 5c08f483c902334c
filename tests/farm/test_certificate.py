"""Who has the farm's certificate takes part; who lacks it is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from types import SimpleNamespace

import pytest
from helpers import opclock, refused

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
]

from distributed import Scheduler  # noqa: E402
from distributed.comm.core import connect  # noqa: E402

from benchmarks.farm.small_farm import SmallFarm, job  # noqa: E402
from opclock.errors import FarmError  # noqa: E402
from opclock.farm.address import Address, security_of  # noqa: E402
from opclock.farm.connecting import reason_of, unanswered  # noqa: E402
from opclock.farm.session import Farm  # noqa: E402


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two folders, each with a certificate of its own."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folders = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    for folder in folders:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
             "/CN=x", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True,
        )  # fmt: skip
    return folders


async def answers(url, security, timeout_s):
    """Whether a scheduler answers. Raises OSError where it refuses."""
    comm = await connect(url, timeout=timeout_s, **security.get_connection_args("worker"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return (await asyncio.wait_for(comm.read(), timeout_s))["type"] == "Scheduler"
    finally:
        comm.abort()


def test_who_lacks_the_certificate_gets_no_answer(certificates):
    ours, theirs = map(security_of, certificates)

    async def attempts():
        async with Scheduler(host="127.0.0.1", port=0, protocol="tls", security=ours, dashboard=False,
                             dashboard_address="127.0.0.1:0") as scheduler:  # fmt: skip
            plain = (scheduler.address.replace("tls", "tcp"), Address.of(None).security)
            for url, security in ((scheduler.address, theirs), plain):
                with pytest.raises(OSError) as refusal:  # noqa: PT011 - of several kinds
                    await answers(url, security, 0.5)
            said = unanswered(Address.of(plain[0]), refusal.value)
            assert said == "it closed the connection; it may be encrypted: tls:// and OPCLOCK_FARM_TLS"
            assert await answers(scheduler.address, ours, 30)

    asyncio.run(attempts())


def test_boards_join_an_encrypted_farm_at_another_address(certificates, tmp_path):
    """Its scheduler is at an address that is not the one of this machine's own loopback."""
    ours, theirs = certificates
    farm = SmallFarm(tmp_path, host="127.0.0.2", tls=ours)
    try:
        farm.begin("a")
        farm.begin("stranger", tls=str(theirs))
        farm.wait_for("a")
        with Farm(Address.of(farm.url, ours)) as connected:
            ((_, outcome),) = connected.run([job("answer", tmp_path / "ledger")])
            assert outcome.status == "done"
            assert farm.code("stranger") == 1
            said = farm.log("stranger").read_text().splitlines()[-1]
            assert said == f"opclock: cannot join {farm.url}: its certificate is not the one in {theirs}"
            (board,) = connected.boards()
            assert board.name == "a"
            assert board.address.startswith("tls://")
    finally:
        farm.close()


def test_a_scheduler_that_others_reach_needs_a_certificate(tmp_path):
    refused(opclock("farm", "start", "--host", "0.0.0.0"), "--tls FOLDER", "--insecure")
    refused(opclock("farm", "start", "--host", "0.0.0.0", "--tls", tmp_path), "cert.pem", "openssl req")
    refused(opclock("farm", "join", "ftp://x"), "tcp://HOST")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("start", "--host", "0.0.0.0", "--insecure"), "0.0.0.0"),
        (("join", "tcp://192.0.2.77"), "tcp://192.0.2.77:8786"),
        (("start",), ""),
        (("join", "tcp://localhost"), ""),
    ],
)
def test_a_farm_that_everyone_can_use_says_so(monkeypatch, tmp_path, words, place):
    """It was silent."""

    async def nothing(*_given):
        pass

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("opclock.farm.scheduler.schedule", nothing)
    monkeypatch.setattr("opclock.farm.worker.belong", nothing)
    monkeypatch.setattr("opclock.farm.examination.examine", lambda: SimpleNamespace(trouble=""))
    done = opclock("farm", *words)
    assert done.returncode == 0, done.stderr
    warning = f"warning: {place} has no certificate: whoever reaches it can run any program on the boards\n"
    assert done.stderr == (warning if place else "")


def test_a_remedy_is_one_that_the_command_has(monkeypatch):
    """'opclock farm list' suggested --cluster and --tls."""
    monkeypatch.setattr("opclock.farm.connecting.CONNECT_S", 0.2)
    for url, said in (("tcp://127.0.0.1:1", "name another by $OPCLOCK_FARM; if it has a certificate, name its folder "
                       "by $OPCLOCK_FARM_TLS"), ("tls://x", "name the folder with its certificate by "
                       "$OPCLOCK_FARM_TLS")):  # fmt: skip
        monkeypatch.setenv("OPCLOCK_FARM", url)
        done = opclock("farm", "list")
        refused(done, said)
        assert "--" not in done.stderr


def test_the_scheduler_says_how_boards_and_users_reach_it(monkeypatch):
    """What users need was not said."""

    async def started(_host, _port, _security, say):
        say("tcp://127.0.0.1:8786")

    monkeypatch.setattr("opclock.farm.scheduler.schedule", started)
    lines = opclock("farm", "start").stdout.splitlines()
    assert lines[1::2] == ["  opclock farm join tcp://127.0.0.1:8786", "  export OPCLOCK_FARM=tcp://127.0.0.1:8786"]


def test_no_object_of_dask_is_in_a_message():
    error = OSError(
        "in <TCP (closed) Client->Scheduler local=tcp://127.0.0.1:1 remote=tcp://127.0.0.1:2>: Stream is closed"
    )
    assert reason_of(error) == "Stream is closed"


def test_what_is_wrong_is_said_before_a_board_is_examined(tmp_path):
    done = opclock("farm", "join", "tcp://127.0.0.1:8786", "--tls", tmp_path)
    refused(done, f"{tmp_path} lacks cert.pem: make both once in it")
    assert len(done.stderr.splitlines()) == 1
    done = opclock("farm", "start", "--host", "203.0.113.1", "--insecure")  # of no machine
    refused(done, "cannot listen at 203.0.113.1:8786", "give another --host")


@pytest.mark.parametrize(("cert", "key"), [("", ""), ("ours", "theirs"), ("ours", "")])
def test_files_that_are_no_certificate_are_named(certificates, tmp_path, cert, key):
    """Empty ones were blamed on standard output."""
    folders = dict(zip(("ours", "theirs"), certificates, strict=True))
    for name, whose in (("cert.pem", cert), ("key.pem", key)):
        (tmp_path / name).write_bytes((folders[whose] / name).read_bytes() if whose else b"")
    for words in (("start", "--port", "0"), ("join", "tls://127.0.0.1:1")):
        refused(opclock("farm", *words, "--tls", tmp_path), f"{tmp_path}: cert.pem and key.pem are no certificate")


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "all"])
def test_a_board_s_name_is_one_of_a_folder(name):
    refused(opclock("farm", "join", "tcp://127.0.0.1:1", f"--name={name}"), f"--name {name!r}")
    refused(opclock("farm", "join", "tcp://127.0.0.1:1", f"--tag={name}"), f"--tag {name!r}")


def test_a_certificate_that_has_expired_is_said(tmp_path):
    error = OSError("cannot connect")
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired (_ssl.c:1)")
    assert unanswered(Address("tls://x:1", tmp_path), error).startswith("its certificate has expired")


def test_an_expired_certificate_starts_no_farm(certificates, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 4e9)  # of the year 2096
    with pytest.raises(FarmError, match=r"cert\.pem has expired \(.*GMT\): make it anew"):
        security_of(certificates[0])


def test_a_board_with_a_certificate_says_that_the_farm_has_none(certificates, tmp_path):
    """It ended with a traceback."""
    farm = SmallFarm(tmp_path)
    try:
        farm.begin("a", tls=str(certificates[0]))
        assert farm.code("a") == 1
        said = farm.log("a").read_text()
        assert "Traceback" not in said
        assert said.splitlines()[-1].endswith("it is not encrypted: tcp://")
    finally:
        farm.close()
