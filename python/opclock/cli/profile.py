"""opclock profile: inspect, merge and prune profile files."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.groups import WholeHelp
from opclock.cli.reporting import Reporter
from opclock.errors import ProfileError
from opclock.formatting import counted


@click.group(cls=WholeHelp)
def profile() -> None:
    """Inspect a profile, merge profiles of one board, or remove measurements that newer ones replace."""


@profile.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@options.reporter_option
def info(path: Path, reporter: Reporter) -> None:
    """Show what a profile contains."""
    from opclock.profiles.maintenance import info as look
    from opclock.profiles.profile import Profile
    from opclock.report.profile_table import table

    with Profile.open(path) as opened:
        contents = look(opened)
    reporter.json({"schema": "opclock.profile_info/1", **contents.to_json()})
    reporter.table(table(contents))


@profile.command()
@click.argument("target", metavar="INTO", type=click.Path(path_type=Path))
@click.argument("sources", metavar="FROM...", nargs=-1, required=True, type=click.Path(path_type=Path))
def merge(target: Path, sources: tuple[Path, ...]) -> None:
    """Copy the profiles FROM into the existing profile INTO. All must be of the same board and torch version."""
    from opclock.profiles.maintenance import merge as copy
    from opclock.profiles.maintenance import open_for_merge
    from opclock.profiles.profile import Profile

    if not target.exists():
        raise ProfileError(
            f"there is no profile {target}: name the profile first that takes in the others; to begin a new one: "
            f"cp {shlex.quote(str(sources[0]))} {shlex.quote(str(target))}"
        )
    with Profile.open(target) as opened:
        for source in sources:  # before anything is written
            open_for_merge(opened, source).close()
    with Profile.edit(target) as opened:
        for source in sources:
            Reporter().say(f"{counted(copy(opened, source), 'pool')} of {source} copied into {target}")


@profile.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def prune(path: Path) -> None:
    """Remove pools whose op calls were all measured again later, in the same condition."""
    from opclock.profiles.maintenance import contended
    from opclock.profiles.maintenance import prune as remove
    from opclock.profiles.profile import Profile

    with Profile.edit(path) as opened:
        Reporter().say(f"{counted(remove(opened), 'pool')} removed from {path}")
        if stay := contended(opened):
            Reporter().say(
                f"{counted(stay, 'contended pool')} kept: other programs disturbed them, and nothing "
                "better replaces them; measure those models again while the machine is quiet"
            )
