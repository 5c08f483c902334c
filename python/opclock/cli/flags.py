"""Flags on the screen, and --strict."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from opclock.flags import explained, fitted, untrusted

if TYPE_CHECKING:
    from opclock.cli.reporting import Reporter

UNRELIABLE = 1  # exit code with --strict

strict_option = click.option("--strict", is_flag=True, help="Exit with 1 if a flag says that a number is unreliable.")


def show_flags(reporter: Reporter, names: Iterable[str]) -> None:
    """Print what each flag means and what to do in this command, once each, the most serious first."""
    context = click.get_current_context(silent=True)
    options = {text for one in context.command.params for text in one.opts} if context else set()
    if context and context.params.get("profile_path", "none") is None:  # a temporary one
        options.discard("--profile")
    for line in explained(names):
        reporter.say(fitted(line, options))


def check_strict(reporter: Reporter, names: Iterable[str], *, strict: bool) -> None:
    """End the command with exit code 1 if --strict was given and a number is unreliable. Call it last."""
    doubts = untrusted(names)
    if strict and doubts:
        reporter.say(f"--strict: a number is unreliable ({', '.join(doubts)})")
        sys.exit(UNRELIABLE)
