"""Options that several commands share."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from opclock.board.contention import OtherPrograms
from opclock.board.cores import beyond_quota, check_threads, default_threads, parse_ranges, ranges
from opclock.board.system import allowed_cores, pin_to
from opclock.cli.explaining import in_options
from opclock.cli.outputs import check_output, is_for_boards
from opclock.cli.reporting import Reporter, note
from opclock.errors import OptionError
from opclock.extension import load_core
from opclock.formatting import counted
from opclock.runtimes.runtime import PRECISIONS
from opclock.temporary import temporary_folder

if TYPE_CHECKING:
    from opclock.models.loading import Model
    from opclock.profiles.profile import Profile
    from opclock.tracing.trace import Trace

OTHER_PROGRAMS = OtherPrograms()  # since the command began
BUSY_CORES = 0.5  # of other programs, from which on a measurement takes clearly longer

Function = TypeVar("Function", bound=Callable[..., Any])

model_argument = click.argument("model", metavar="MODEL")
input_option = click.option(
    "--input",
    "input_text",
    metavar="SHAPE,...",
    help="Random inputs: 1x3x32x32, with a dtype 1x16:int64, with a name input_ids=1x16:int64; several by commas.",
)
batch_dim_option = click.option(
    "--batch-dim",
    type=click.IntRange(min=0),
    help="Dimension of the inputs that is the batch, counted from 0.  [default: found by running the model]",
)
dtype_option = click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="Dtype of parameters and inputs: float32, float16, bfloat16 or float64; auto keeps the model's own.",
)
device_option = click.option("--device", default="cpu", show_default=True, help="Device that the model runs on.")
threads_option = click.option(
    "--threads", type=int, help="Number of threads.  [default: the cores that this process may use]"
)


def _pin(context: click.Context, _parameter: click.Parameter, text: str | None) -> None:
    """Bind this process to the given cores. This must happen before PyTorch starts its threads."""
    if text is None or is_for_boards(context):
        return
    wanted, allowed = parse_ranges(text), allowed_cores()
    if not set(wanted) <= set(allowed):
        raise OptionError(f"--cpus {text}: this process may use cores {ranges(allowed)}")
    pin_to(wanted)


cpus_option = click.option("--cpus", metavar="LIST", expose_value=False, is_eager=True, callback=_pin,
                           help="Run on these cores only: 4-7 or 0,2-3.  [default: all]")  # fmt: skip
weights_option = click.option("--weights", type=click.Path(path_type=Path), help="File with a state dict to load.")
data_option = click.option("--data", type=click.Path(path_type=Path),
                           help="Folder with the binary CIFAR-100 files: use real images as inputs.")  # fmt: skip
real_option = click.option("--real/--fake", "real", default=None,
                           help="Trace by a real run, or with fake tensors only.  "
                           "[default: fake tensors, checked by a real run]")  # fmt: skip
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed for every random order.")
PROCESSES = "Fresh processes that take turns; the interval holds how they differ.  [1: this process]"
processes_option = click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help=PROCESSES)
usual_processes_option = click.option("--processes", type=click.IntRange(min=1),
                                      help=f"{PROCESSES}  [default: 3, or 1 where memory is short]")  # fmt: skip
runtimes_option = click.option("--runtime", "runtimes", metavar="NAME,...", default="eager,onnxruntime,openvino",
                               show_default=True, help="Runtimes to use, separated by commas, or 'all'.")  # fmt: skip
precision_option = click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
                                help="Precision that runtimes may compute in.")  # fmt: skip
keep_option = click.option("--keep", type=click.Path(path_type=Path),
                           help="Folder that keeps converted models for later runs.")  # fmt: skip


MARKDOWN = "opclock.markdown"  # in click's context


def _keep_markdown(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Check before any work that the file can be written, and keep its name for the reporter."""
    if path is not None:
        check_output(parameter.opts[0], path)
        importlib.import_module("tabulate")  # with which tables are written
        context.meta[MARKDOWN] = path


def markdown_file() -> Path | None:
    """The file of --markdown."""
    file: Path | None = click.get_current_context().meta.get(MARKDOWN)
    return file


markdown_option = click.option("--markdown", metavar="FILE", type=click.Path(path_type=Path), expose_value=False,
                               is_eager=True, callback=_keep_markdown,
                               help="Write what is printed as Markdown, such as for a pull request.")  # fmt: skip
_json_option = click.option("--json", "reporter", metavar="FILE|-",
                            callback=lambda _c, _p, to: Reporter(to, markdown_file()),
                            help="Write JSON to a file, or with - to stdout and nothing else there.")  # fmt: skip


def reporter_option(function: Function) -> Function:
    """Add --json and --markdown, and pass the reporter that obeys them."""
    return _json_option(markdown_option(function))


def _checked_json(_context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Check before any work that the file can be written."""
    check_output(parameter.opts[0], path, (".json",))
    return path


timeline_option = click.option("--timeline", "timeline_to", metavar="FILE.json", type=click.Path(path_type=Path),
                               callback=_checked_json,
                               help="Write a timeline for ui.perfetto.dev and other viewers.")  # fmt: skip


def needs_core(verb: Function) -> Function:
    """Make a command fail at once, with the reason, if the compiled extension is missing."""

    @functools.wraps(verb)
    def checked(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the command takes
        load_core()
        return verb(*arguments, **options)

    return cast("Function", checked)


def checked_runtimes(text: str) -> list[str]:
    """Split runtime names at commas; "all" means every registered one. Raises OptionError for an unknown name."""
    from opclock.runtimes.registry import find, names

    listed = names() if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    if not listed:
        raise OptionError(f"--runtime {text!r}: name at least one of {', '.join(names())}")
    for name in listed:
        find(name)
    return listed


def profile_option(default: str | None) -> Callable[[Function], Function]:
    """Return the option --profile with this default file. None: the default is a temporary file."""
    text = "File of measurements." if default else "File of measurements.  [default: a temporary file]"
    return click.option("--profile", "profile_path", type=click.Path(path_type=Path), default=default,
                        show_default=bool(default), help=text)  # fmt: skip


@contextmanager
def writable_profile(path: Path | None) -> Iterator[Profile]:
    """Open this board's profile for writing; without a path, a temporary one. Raises ProfileError."""
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile

    stored = "SELECT (SELECT count(*) FROM round) + (SELECT count(*) FROM ceiling)"
    begun = "SELECT count(*) FROM round JOIN pool ON pool.id = round.pool WHERE pool.ended = '' AND pool.owner = ?"
    with (
        temporary_folder() as folder,
        Profile.create_or_open(path or folder / "profile.sqlite", read_board()) as profile,
    ):
        _say_if_busy()
        before = profile.ask(stored)
        try:
            yield profile
        except KeyboardInterrupt as interruption:
            if profile.ask(stored) != before:
                rounds = profile.ask(begun, profile.owner)[0][0]
                place = f" from {counted(rounds, 'round')}" if rounds else ""
                interruption.add_note(
                    "nothing was stored: --profile FILE keeps what is finished"
                    if path is None
                    else f"what was finished is kept in {path}: the same command goes on{place}"
                )
            raise


def _say_if_busy() -> None:
    """Say it where other programs keep cores busy, before anything is measured beside them."""
    cores = OTHER_PROGRAMS.cores()
    if cores >= BUSY_CORES:
        busy = f"{cores:.1f} of {counted(len(allowed_cores()), 'core')} busy"
        note(
            f"other programs keep {busy}: what they disturb is measured again, so it takes longer, and may stay "
            "imprecise; 'top' shows them"
        )


def checked_threads(threads: int | None) -> int:
    """Return the thread count; None: one for each core, within the container's quota. Raises OptionError."""
    if threads is None:
        return default_threads()
    check_threads(threads)
    if complaint := beyond_quota(threads):
        note(complaint)
    return threads


def traced(loaded: Model, *, real: bool | None) -> Trace:
    """Trace a model, and say on stderr what the user should know about the trace."""
    from opclock.tracing.recorder import trace

    recorded = trace(loaded.module, loaded.inputs, name=loaded.name, real=real, reset=loaded.reset)
    if recorded.note:
        note(in_options(recorded.note))
    return recorded


def checked_device(device: str) -> str:
    """Return the device with its number. Raises OptionError if this PyTorch cannot use it."""
    if device == "cpu":
        return device
    from opclock.board.accelerator import checked_device as check

    return check(device)
