"""A group of commands that lists each command with its full summary."""

from __future__ import annotations

import click


class WholeHelp(click.Group):
    """Lists each command with the whole first paragraph of its help. Click itself cuts long ones with "..."."""

    heading = "Commands"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one entry for each command, on several lines if needed."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, _first_paragraph(command)) for name, command in commands.items() if command is not None]
        with formatter.section(self.heading):
            formatter.write_dl(rows)


def _first_paragraph(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())
