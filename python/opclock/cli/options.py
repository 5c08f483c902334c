"""Options that several verbs share, each defined once."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from opclock.board.cores import check_threads, parse_ranges, ranges
from opclock.board.system import allowed_cores, pin_to
from opclock.cli.reporting import Reporter
from opclock.errors import OptionError
from opclock.extension import load_core
from opclock.runtimes.runtime import PRECISIONS

if TYPE_CHECKING:
    from opclock.profiles.profile import Profile

Function = TypeVar("Function", bound=Callable[..., Any])

model_argument = click.argument("model", metavar="MODEL")
input_option = click.option(
    "--input", "input_text", metavar="SHAPE", help="Random inputs: 1x3x32x32, several by commas."
)
dtype_option = click.option("--dtype", default="float32", show_default=True, help="Type of parameters and inputs.")
device_option = click.option("--device", default="cpu", show_default=True, help="Where the model runs.")
threads_option = click.option(
    "--threads", type=int, help="PyTorch's threads.  [default: the cores this process may use]"
)


def _pin(_context: click.Context, _parameter: click.Parameter, text: str | None) -> None:
    """Bind this process, before PyTorch makes its threads, to some of the cores."""
    if text is None:
        return
    wanted, allowed = parse_ranges(text), allowed_cores()
    if not set(wanted) <= set(allowed):
        raise OptionError(f"--cpus {text}: this process may use cores {ranges(allowed)}")
    pin_to(wanted)


cpus_option = click.option("--cpus", metavar="LIST", expose_value=False, is_eager=True, callback=_pin,
                           help="Run on these cores only: 4-7 or 0,2-3.  [default: all]")  # fmt: skip
weights_option = click.option("--weights", type=click.Path(path_type=Path), help="A state dict to load.")
data_option = click.option("--data", type=click.Path(path_type=Path),
                           help="Folder of CIFAR-100's binary version: real images as inputs.")  # fmt: skip
real_option = click.option("--real", is_flag=True, help="Trace by a real run: for shapes that depend on data.")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random order.")
runtimes_option = click.option("--runtime", "runtimes", metavar="NAME,...", default="eager,onnxruntime,openvino",
                               show_default=True, help="'all' for every one that is installed.")  # fmt: skip
precision_option = click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
                                help="What runtimes may compute in.")  # fmt: skip
keep_option = click.option("--keep", type=click.Path(path_type=Path),
                           help="Folder where converted models stay for the next time.")  # fmt: skip
reporter_option = click.option("--json", "reporter", metavar="FILE|-", callback=lambda _c, _p, to: Reporter(to),
                               help="Write JSON; with - nothing else goes to stdout.")  # fmt: skip


def needs_core(verb: Function) -> Function:
    """For what times something: it ends at once, with the reason, where the compiled part is missing."""

    @functools.wraps(verb)
    def checked(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the verb's own
        load_core()
        return verb(*arguments, **options)

    return cast("Function", checked)


def checked_runtimes(text: str) -> list[str]:
    """The names in a list by commas; "all" for every registered one. Raises OptionError for one that is not."""
    from opclock.runtimes.registry import find, names

    listed = names() if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in listed:
        find(name)
    return listed


def profile_option(default: str | None) -> Callable[[Function], Function]:
    """--profile, with this default file; None for a temporary one."""
    text = "The board's measurements." if default else "The board's measurements.  [default: a temporary file]"
    return click.option("--profile", "profile_path", type=click.Path(path_type=Path), default=default,
                        show_default=bool(default), help=text)  # fmt: skip


@contextmanager
def writable_profile(path: Path | None) -> Iterator[Profile]:
    """This board's profile, open for measuring into; a temporary one where no path is given. Raises ProfileError."""
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile

    with (
        tempfile.TemporaryDirectory() as folder,
        Profile.create_or_open(path or Path(folder) / "profile.sqlite", read_board()) as profile,
    ):
        yield profile


def checked_threads(threads: int | None) -> int:
    """The thread count, within what the process may use. Raises OptionError."""
    if threads is None:
        return len(allowed_cores())
    check_threads(threads)
    return threads


def checked_device(device: str) -> str:
    """The device with its number. Raises OptionError for one that this PyTorch cannot use."""
    if device == "cpu":
        return device
    from opclock.board.accelerator import checked_device as check

    return check(device)
