"""opclock farm: boards that take commands from other machines."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.groups import WholeHelp
from opclock.cli.reporting import Reporter, waiting, write
from opclock.errors import OptionError
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.farm.board import FarmBoard
    from opclock.farm.session import Farm

PORT = 8786
GATES = ("throttling", "governor", "load")
tls_option = click.option("--tls", type=click.Path(path_type=Path), metavar="FOLDER", envvar="OPCLOCK_FARM_TLS",
                          help="Folder with cert.pem and key.pem: encrypt, and refuse who lacks them.")  # fmt: skip


@click.group(cls=WholeHelp)
def farm() -> None:
    """Measure on several boards from one machine. The verbs that measure take --on."""


@farm.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0: at all.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Its port; 0: a free one.")
@tls_option
@click.option("--insecure", is_flag=True, help="Let whoever reaches the address run programs on the boards.")
def start(host: str, port: int, tls: Path | None, insecure: bool) -> None:
    """Start a farm's scheduler on this machine, until it is interrupted."""
    from opclock.farm.address import Address, check_exposed, exposed
    from opclock.farm.scheduler import schedule

    check_exposed(host, tls, insecure=insecure)
    _warn(host, exposed(host, tls))
    reporter = Reporter()

    def started(url: str) -> None:
        reporter.say(f"the farm is at {url}; on each board:")
        reporter.command(f"opclock farm join {_reachable(url)}" + (" --tls FOLDER" if tls else ""))
        reporter.say("where you give the commands:")
        reporter.command(f"export OPCLOCK_FARM={_reachable(url)}" + (" OPCLOCK_FARM_TLS=FOLDER" if tls else ""))

    with _ends("the scheduler has ended"):
        asyncio.run(schedule(host, port, Address.of(None, tls).security, started))


def _warn(place: str, danger: str) -> None:
    """Say what others can do with a scheduler without a certificate."""
    if danger:
        write(sys.stderr, f"warning: {place} has no certificate: {danger}")


@contextmanager
def _ends(text: str) -> Iterator[None]:
    """Say this where the command is interrupted, which is how it is ended."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        interruption.add_note(text)
        raise


def _reachable(url: str) -> str:
    """The address that another machine can use."""
    return url.replace("0.0.0.0", platform.node()).replace("[::]", platform.node())


@farm.command()
@click.argument("address", metavar="tcp://HOST:PORT")
@click.option("--name", help="Name of this board in the farm.  [default: this machine's]")
@click.option("--tag", "tags", multiple=True, help="What --on tag:TAG finds; may be given several times.")
@options.cpus_option
@tls_option
@click.option("--accept", "accepted", type=click.Choice(GATES), multiple=True,
              help="Measure here even where this check of the board fails; may be given several times.")  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Folder that keeps jobs, for after a fault.  [default: in the user's cache]")  # fmt: skip
@options.needs_core
def join(
    address: str, name: str | None, tags: tuple[str, ...], tls: Path | None, accepted: tuple[str, ...],
    store: Path | None,
) -> None:  # fmt: skip
    """Let this board measure for a farm, until it is drained or interrupted.

    One job runs at a time, in a process of its own. Whoever controls the scheduler can run programs here with your
    rights (SECURITY.md).
    """
    from opclock.farm.address import Address
    from opclock.farm.examination import cache_folder, examine
    from opclock.farm.worker import Member, belong
    from opclock.files import prepare_folder

    name = _checked_name(platform.node().partition(".")[0] if name is None else name)
    for tag in tags:
        _checked_name(tag, "--tag")
    place = Address.of(address, tls)
    place.check()
    _warn(place.url, place.danger)
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = store or cache_folder(name, root)
    prepare_folder(folder)
    reporter = Reporter()
    with waiting("examining this board"):
        examination = examine()
    if examination.trouble:
        reporter.say(
            f"note: {examination.trouble}; the farm gives nothing to this board until it joins without trouble"
        )
    with _ends("this board has left the farm"):
        asyncio.run(belong(place, Member(name, tags, examination, accepted, folder.absolute()), reporter.say))
    reporter.say("drained")


def _checked_name(text: str, option: str = "--name") -> str:
    if not re.fullmatch(r"\w[\w.-]*", text) or text == "all":  # it names folders: "." and ".." are others
        raise OptionError(
            f"{option} {text!r}: letters, digits, '.', '_' and '-' only, '.' and '-' not first, and not all"
        )
    return text


@farm.command("list")
@options.reporter_option
def list_boards(reporter: Reporter) -> None:
    """List the boards of the farm at $OPCLOCK_FARM, or on this machine.

    Each has its tags, state, queue and identity, and what its doctor found when it joined.
    """
    from opclock.report.table import Table, texts

    with connected() as opened:
        boards = opened.boards()
    reporter.json({"schema": "opclock.farm_list/1", "boards": [
        {**board.to_json(), "state": board.state, "job": board.job or None, "queue": board.queue,
         "clock_ahead_s": board.skew_s, "checks": list(board.checks)} for board in boards
    ]})  # fmt: skip
    reporter.table(Table([
        texts("board", [board.name for board in boards]),
        texts("tags", [" ".join(board.tags) for board in boards]),
        texts("state", [board.state for board in boards]),
        texts("queue", [str(board.queue) for board in boards]),
        texts("doctor when it joined", [_doctor(board) for board in boards]),
        texts("identity", [board.board["identity"] for board in boards]),
    ]))  # fmt: skip
    reporter.say(counted(len(boards), "board") if boards else "no board yet: 'opclock farm join' on each")


def _doctor(board: FarmBoard) -> str:
    """The doctor's findings when the board joined, the worst first; its clock is of this moment."""
    if board.clock:
        return board.clock
    failed = [f"{check['name']}: {check['finding']}" for check in board.checks if check["status"] != "ok"]
    return board.trouble or "; ".join(failed) or "ok"


@farm.command()
@click.argument("name", metavar="NAME")
def drain(name: str) -> None:
    """Let the board NAME finish its job, take no other, and end."""
    with connected() as opened:
        opened.drain(name)
    Reporter().say(f"{name} takes no more jobs; it ends after the one that it has")


@farm.command()
@click.argument("name", metavar="NAME")
def cancel(name: str) -> None:
    """End the job that the board NAME runs, whoever gave it. What it has stored stays on the board."""
    with connected() as opened:
        job = opened.cancel(name)
    Reporter().say(f"{name}: {job} is cancelled" if job else f"{name} runs no job")


def connected() -> Farm:
    """The farm at $OPCLOCK_FARM, or on this machine. Raises FarmError where none answers."""
    from opclock.farm.address import Address
    from opclock.farm.session import Farm

    return Farm(Address.of())
