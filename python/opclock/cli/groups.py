"""A group of commands that lists each command with its full summary."""

from __future__ import annotations

import click


def check_command(group: click.Group, ctx: click.Context, name: str) -> None:
    """Raise UsageError with the names of all commands where none is like this one; click itself names one that is."""
    if group.get_command(ctx, name) is not None:
        return
    import difflib

    names = group.list_commands(ctx)
    if not difflib.get_close_matches(name, names):
        raise click.UsageError(f"no command {name!r}; there are: {', '.join(names)}", ctx)


class WholeHelp(click.Group):
    """Lists each command with the whole first paragraph of its help. Click itself cuts long ones with "..."."""

    heading = "Commands"

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with."""
        check_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one entry for each command, on several lines if needed."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, _first_paragraph(command)) for name, command in commands.items() if command is not None]
        with formatter.section(self.heading):
            formatter.write_dl(rows)


def _first_paragraph(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())
