"""The options that choose the state of the machine for which an estimate holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli.reporting import progress_display
from opclock.errors import EstimateError, OptionError
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.models.loading import Model
    from opclock.profiles.machine_state import MachineState
    from opclock.profiles.profile import Profile
    from opclock.tracing.trace import Trace

Function = Callable[..., object]

_now = click.option("--now", is_flag=True, help="For the state that this board is in now: its control workloads are "
                    "sampled for a second.  [default: the profile's usual state]")  # fmt: skip
_state = click.option("--state", "state_path", type=click.Path(path_type=Path), metavar="FILE",
                      help="For the usual state of another profile of this board, such as one of another power mode "
                      "or another day.")  # fmt: skip


def state_options(command: Function) -> Function:
    """Add --now and --state."""
    return _now(_state(command))


def chosen_state(
    profile: Profile, threads: int, path: Path | None, *, now: bool, trace: Trace | None = None,
    model: Model | None = None,
) -> MachineState | None:  # fmt: skip
    """The state that the options ask for; None for the profile's usual one.

    Args:
        profile: for the estimate.
        threads: PyTorch's.
        path: of another profile of the same board.
        now: whether to sample this machine.
        trace: of the model, where the state is for one.
        model: the same, where this process has it; its weights are read for ``now``.

    Raises:
        OptionError: both are given.
        EstimateError: the other profile, or this machine, is not the profile's board, or lacks control workloads.
    """
    from opclock.profiles.machine_state import usual_state
    from opclock.profiles.profile import Profile

    if now and path is not None:
        raise OptionError(f"--now and --state {path} ask for two states; give one of them")
    if path is not None:
        with Profile.open(path) as other:
            _check_same(profile, other.board(), f"{path} is of", f"--state {path}")
            state = usual_state(other, threads)
        if not state.known:
            raise EstimateError(
                f"{path} has no control workloads with {counted(threads, 'thread')}; measure a model into it with "
                f"--threads {threads}"
            )
        return state
    return _current_state(profile, threads, trace, model) if now else None


def _current_state(profile: Profile, threads: int, trace: Trace | None, model: Model | None) -> MachineState:
    from opclock.board.identity import read_board
    from opclock.timing.current_state import current_state

    _check_same(profile, read_board().to_json(), "this is", "--now")
    with progress_display() as progress:
        return current_state(threads=threads, progress=progress, trace=trace, model=model)


def _check_same(profile: Profile, other: dict[str, object], subject: str, option: str) -> None:
    from opclock.profiles.machine import same_machine

    if not same_machine(profile.board(), other):
        names = [str(board.get("identity")) for board in (other, profile.board())]
        raise EstimateError(
            f"{subject} another board ({names[0]}) than {profile.path} ({names[1]}); leave {option} out, or measure "
            "there"
        )
