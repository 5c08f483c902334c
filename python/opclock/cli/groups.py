"""Groups of commands whose help is never cut."""

from __future__ import annotations

import click


class WholeHelp(click.Group):
    """Lists its commands with the whole first paragraph of their help; click's own list ends in "..."."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One entry a command, over several lines where it needs them."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, _first_paragraph(command)) for name, command in commands.items() if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _first_paragraph(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())
