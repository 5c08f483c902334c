"""The entry point: collects the verbs and turns errors into one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import click

from opclock.cli.batch import batch
from opclock.cli.bench import bench
from opclock.cli.ceilings import ceilings
from opclock.cli.compare import compare
from opclock.cli.crosscheck import crosscheck
from opclock.cli.doctor import doctor
from opclock.cli.estimate import estimate
from opclock.cli.measure import measure
from opclock.cli.profile import profile
from opclock.cli.study import study
from opclock.cli.sweep import sweep
from opclock.cli.trace import trace
from opclock.cli.validate import validate
from opclock.errors import OpclockError
from opclock.version import VERSION

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="opclock")
def commands() -> None:
    """How long a PyTorch model takes on this board, where the time goes, and what MACs hide."""


for _command in (
    doctor,
    trace,
    measure,
    sweep,
    ceilings,
    estimate,
    validate,
    bench,
    batch,
    crosscheck,
    compare,
    profile,
    study,
):
    commands.add_command(_command)


def _complain(message: str) -> None:
    print(f"opclock: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 judged and found wanting, 2 bad input, 130 interrupted."""
    warnings.filterwarnings("ignore", module=r"torch\..*|torchvision\..*")
    try:
        code = commands.main(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())  # noqa: T201
        code = BAD_INPUT
    except click.ClickException as error:
        _complain(error.format_message())
        code = BAD_INPUT
    except OpclockError as error:
        _complain(str(error))
        code = BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        _complain(
            "interrupted; what was finished is stored: the same command, with the same --profile or --report, goes on"
        )
        code = INTERRUPTED
    except ImportError as error:
        _complain(f"cannot import {error.name or 'a module'} ({error}); 'opclock doctor' says what mends it")
        code = BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "not enough memory" not in str(error):
            raise
        _complain("out of memory: use a smaller input or batch, or stop other processes")
        code = BAD_INPUT
    except BrokenPipeError:
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
