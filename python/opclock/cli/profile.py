"""opclock profile: looking after profile files."""

from __future__ import annotations

from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.output import check_json, say, write_json


@click.group()
def profile() -> None:
    """Look into a profile, merge profiles of one board, throw away what was measured anew."""


@profile.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@options.json_option
def info(path: Path, json_to: str | None) -> None:
    """Say what is in a profile."""
    from opclock.profiles.maintenance import info as look
    from opclock.profiles.profile import Profile

    check_json(json_to)
    with Profile.open(path) as opened:
        found = look(opened)
    if json_to:
        write_json(json_to, {"schema": "opclock.profile_info/1", **found.to_json()})
    say(f"board         {found.board['identity']}", json_to)
    say(f"op calls      {found.op_calls} distinct, {found.measurements} measurements", json_to)
    for name, count in found.pools.items():
        say(f"pools         {count} {name}", json_to)
    say(f"interrupted   {found.interrupted} pools", json_to)
    for name, count in found.configurations.items():
        say(f"sweep         {count} of {name}", json_to)
    say(f"hosts         {found.hosts}", json_to)
    say(f"ceilings      {found.ceilings}", json_to)
    say(f"size          {found.nbytes / 1e6:.1f} MB", json_to)


@profile.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("sources", metavar="OTHER...", nargs=-1, required=True, type=click.Path(path_type=Path))
def merge(target: Path, sources: tuple[Path, ...]) -> None:
    """Bring OTHER profiles of the same board and torch into FILE. Boards that differ are refused."""
    from opclock.profiles.maintenance import merge as bring
    from opclock.profiles.profile import Profile

    with Profile.edit(target) as opened:
        for source in sources:
            say(f"{bring(opened, source)} pools of {source} are now in {target}", None)


@profile.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def prune(path: Path) -> None:
    """Throw away pools whose every op call was measured anew in the same condition."""
    from opclock.profiles.maintenance import prune as throw_away
    from opclock.profiles.profile import Profile

    with Profile.edit(path) as opened:
        say(f"{throw_away(opened)} pools thrown away from {path}", None)
