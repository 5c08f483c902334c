"""--on: the same command on boards of a farm."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from opclock.cli.number_range import NumberRange
from opclock.cli.outputs import check_unnamed, output_folder, words_of
from opclock.cli.reporting import Display, Reporter, progress_display, screen_width, write
from opclock.errors import OpclockError, OptionError
from opclock.files import check_writable
from opclock.formatting import counted, duration

if TYPE_CHECKING:
    from opclock.cli.shipping import Shipment
    from opclock.farm.board import FarmBoard
    from opclock.farm.job import Job, Outcome
    from opclock.farm.result import Result
    from opclock.farm.session import Farm
    from opclock.farm.splitting import Agreement

Function = TypeVar("Function", bound=Callable[..., Any])
NOT_ALL = 1  # exit code where a board has no good answer
WRONG = 2  # where the command is wrong on each board
LIMIT_S = 3600.0
LARGE_BYTES = 10_000_000  # of an archive: it takes seconds, and stays on each board for some time

_on = click.option("--on", metavar="all|tag:TAG|NAME,...", multiple=True,
                   callback=lambda _context, _option, given: ",".join(given) if given else None,
                   help="Run on these boards of the farm (opclock farm).")  # fmt: skip
_wait = click.option("--wait-cool", is_flag=True,
                     help="With --on: let a throttled or busy board wait.  [default: skipped]")  # fmt: skip
_limit = click.option("--limit", "limit_s", type=NumberRange(min=1), default=LIMIT_S, show_default=True,
                      metavar="SECONDS", help="With --on: end a command that takes longer.")  # fmt: skip


def on_options(verb: Function) -> Function:
    """Add --on and its companions alone, for a verb that does something of its own with boards."""
    return _on(_wait(_limit(verb)))


def on_boards(verb: Function) -> Function:
    """Add --on. Without it the verb runs here; with it the same words run on each board, and their answers come."""

    @functools.wraps(verb)
    def here_or_there(*arguments: Any, on: str | None, wait_cool: bool, limit_s: float, **given: Any) -> Any:  # noqa: ANN401
        context = click.get_current_context()
        if on is None:
            return verb(*arguments, **given)
        if getattr(context, "invoked_subcommand", None) is not None:
            raise OptionError("--on belongs behind the whole command: write it last")
        return _there(context, on, given, wait_cool=wait_cool, limit_s=limit_s)

    return cast("Function", on_options(here_or_there))


def _there(context: click.Context, on: str, given: dict[str, Any], *, wait_cool: bool, limit_s: float) -> None:
    """Run the command's words on boards, and report their answers."""
    from opclock.cli.farm import connected
    from opclock.cli.shipping import shipment

    reporter: Reporter = given["reporter"]
    shipped = shipment(context, words_of(context), profile=given.get("profile_path"))
    if len(shipped.archive) > LARGE_BYTES:
        write(sys.stderr, f"{len(shipped.archive) / 1e6:.0f} MB travel to each board: what is named and what is beside "
                          "the model's file")  # fmt: skip
    with connected() as farm:
        boards, results = pick(farm, on)
        for result in results:
            show(result, reporter)
        parts = _parts(boards, split=given.get("split", False))
        _check_places(shipped, boards, split=bool(parts))
        jobs = {job.where: job for job in (_job(shipped, board, reporter, parts, wait_cool=wait_cool, limit_s=limit_s)
                                           for board in boards)}  # fmt: skip
        say_busy(boards, list(jobs.values()))
        by_place = {f"name:{board.name}": board for board in boards}
        with progress_display("waiting for the boards", steps=False) as display:
            watch = Watch(display, len(jobs), lambda job: job.where.partition(":")[2], shipped)
            with (closing(farm.run(list(jobs.values()), watch.said, watch.news)) as answers,
                  _kept_when_interrupted(boards, results, reporter)):  # fmt: skip
                for job, outcome in answers:
                    watch.finished(job)
                    results.append(_stored(by_place[job.where], job, outcome, shipped))
                    with display.away():
                        show(results[-1], reporter)
    report(results, reporter, _joined_or_told(results, shipped.profile, reporter) if parts else None)


@contextmanager
def _kept_when_interrupted(
    boards: Sequence[FarmBoard], results: Sequence[Result], reporter: Reporter
) -> Iterator[None]:
    """Write the JSON with the answers so far where the command is interrupted."""
    from opclock.farm.job import Outcome
    from opclock.farm.result import Result, to_json

    try:
        yield
    except KeyboardInterrupt:
        answered = {result.board.name for result in results}
        missing = [Result(board, "", Outcome(board.name, "lost", "interrupted: the same command goes on"))
                   for board in boards if board.name not in answered]  # fmt: skip
        reporter.json(to_json(_in_order([*results, *missing])))
        raise


def say_busy(boards: Sequence[FarmBoard], jobs: Sequence[Job]) -> None:
    """Say which boards do something else first."""
    mine = {job.digest for job in jobs}
    for board in boards:
        if (before := board.queue + bool(board.job)) and not any(digest in board.job for digest in mine):
            write(sys.stderr, f"{board.name} is busy: {counted(before, 'job')} of the farm before this one")


def _parts(boards: Sequence[FarmBoard], *, split: bool) -> dict[str, str]:
    """By board: its part of a split sweep. Raises FarmError where the boards cannot share one."""
    if not split:
        return {}
    from opclock.farm.splitting import check_equal

    check_equal(boards)
    return {board.name: f"{number}/{len(boards)}" for number, board in enumerate(boards, 1)}


def _check_places(shipped: Shipment, boards: Sequence[FarmBoard], *, split: bool) -> None:
    """Raise OptionError where what the boards answer could not be stored, or would replace another file."""
    from opclock.farm.result import of_board

    if shipped.profile is not None:
        if split:
            check_writable(shipped.profile, database=True)
            _check_identity(shipped.profile, boards[0])
        for board in boards:
            profile = of_board(shipped.profile, board.name)
            check_writable(profile, database=True)
            check_unnamed(profile)
            _check_identity(profile, board)
    for place in (of_board(target, board.name) for target in shipped.outputs.values() for board in boards):
        if place.suffix:
            check_writable(place)
            check_unnamed(place)
        else:
            output_folder(place)


def _check_identity(path: Path, board: FarmBoard) -> None:
    """Raise OptionError where a profile is of another board: what this one measures could not be merged."""
    from opclock.profiles.profile import Profile

    if not path.is_file() or not path.stat().st_size:
        return
    with Profile.open(path) as profile:
        mine, theirs = profile.board()["identity"], board.board["identity"]
    if mine != theirs:
        raise OptionError(f"--profile {path} is of {mine}, the board {board.name} is {theirs}: name another file")


def pick(farm: Farm, on: str) -> tuple[list[FarmBoard], list[Result]]:
    """The boards that take part, and the results of those that cannot. Raises FarmError where --on names none."""
    from opclock.farm.job import Outcome
    from opclock.farm.result import Result
    from opclock.farm.selection import chosen, refusals
    from opclock.version import VERSION

    boards = chosen(on, farm.boards())
    refused = refusals(boards, VERSION)
    results = [Result(board, "", Outcome(board.name, "refused", refused[board.name]))
               for board in boards if board.name in refused]  # fmt: skip
    return [board for board in boards if board.name not in refused], results


def _job(
    shipped: Shipment, board: FarmBoard, reporter: Reporter, parts: Mapping[str, str], *, wait_cool: bool,
    limit_s: float,
) -> Job:  # fmt: skip
    from opclock.farm.job import Job
    from opclock.farm.result import of_board

    words, known, name = list(shipped.words), b"", ""
    if shipped.profile is not None:
        mine = of_board(shipped.profile, board.name)
        known, name = mine.read_bytes() if mine.is_file() else b"", mine.name
        words += ["--profile", name]
    if board.name in parts:
        words += ["--part", parts[board.name]]
    versions = tuple((name, board.versions[name]) for name in ("opclock", "torch"))
    return Job(tuple(words), f"name:{board.name}", versions, shipped.archive, known, name, tuple(shipped.outputs),
               wait_cool, limit_s, screen_width(reporter.stream) or 0)  # fmt: skip


def _stored(board: FarmBoard, job: Job, outcome: Outcome, shipped: Shipment) -> Result:
    """A board's answer, its profile and its files in their places on this machine."""
    from dataclasses import replace

    from opclock.farm.result import Result, of_board, take_files, take_profile

    reason, text = (shipped.as_given(words, board.name) for words in (outcome.reason, outcome.text))
    outcome = replace(outcome, reason=reason, text=text)
    profile = None
    try:
        if shipped.profile is not None and outcome.profile_sha256:
            profile = of_board(shipped.profile, board.name)
        if profile is not None and outcome.profile:
            take_profile(outcome, profile)
        for name, target in shipped.outputs.items():
            take_files(outcome, name, of_board(target, board.name))
    except OpclockError as error:
        outcome, profile = replace(outcome, status="failed", reason=f"measured, but not stored here: {error}"), None
    return Result(board, job.id, outcome, profile)


def show(result: Result, reporter: Reporter) -> None:
    """Print one board's answer."""
    one = result.outcome
    spent = f" in {duration(one.seconds)}" if one.status == "done" else ""
    reporter.say(f"== {result.board.name}: {one.status}{spent}" + (f": {one.reason}" if one.reason else ""))
    reporter.lines(result.outcome.text.rstrip())


def _joined_or_told(results: Sequence[Result], target: Path | None, reporter: Reporter) -> list[Agreement]:
    """As ``joined``. Where that fails, what the boards have answered is in the JSON nevertheless."""
    from opclock.farm.result import to_json

    try:
        return joined(results, target, reporter)
    except OpclockError:
        reporter.json(to_json(list(results)))
        raise


def joined(results: Sequence[Result], target: Path | None, reporter: Reporter) -> list[Agreement]:
    """Merge the profiles of the boards that agree into one, and say which do not."""
    from opclock.farm.splitting import agreements, in_words, join, nothing_shared_out

    profiles = {result.board.name: result.profile for result in results if result.profile is not None}
    if target is None or not profiles:
        return []
    found = agreements(profiles)
    for sentence in in_words(found, profiles):
        reporter.say(sentence)
    if nothing_shared_out([result.outcome.result for result in results]):
        reporter.say("every kernel was timed on every board: this sweep has one pool, and a pool is not split")
    kept = [profiles[one.board] for one in found if one.kept]
    join(kept, target)
    reporter.say(f"{counted(len(kept), 'board')} merged into {target}")
    return found


def report(results: Sequence[Result], reporter: Reporter, agreed: Sequence[Agreement] | None = None) -> None:
    """Write the JSON, and exit with 1 where a board has no good answer, or does not agree with the others.

    Where each of them ended with code 2, so does this: the command itself is wrong.
    """
    from opclock.farm.result import to_json

    ordered = _in_order(results)
    shared = {} if agreed is None else {"agreement": [one.to_json() for one in agreed]}
    reporter.json({**to_json(ordered), **shared})
    good = [result for result in ordered if result.status == "done" and result.outcome.code == 0]
    reporter.say(f"{len(good)} of {counted(len(ordered), 'board')} answered" if len(good) < len(ordered)
                 else f"{counted(len(good), 'board')} answered")  # fmt: skip
    if ordered and all(result.outcome.code == WRONG for result in ordered):
        sys.exit(WRONG)
    if len(good) < len(ordered) or not all(one.kept for one in agreed or ()):
        sys.exit(NOT_ALL)


def _in_order(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.board.name)


class Watch:
    """Shows how far the boards are."""

    def __init__(
        self, display: Display, total: int, name: Callable[[Job], str], shipped: Shipment | None = None
    ) -> None:
        self._display, self._total, self._name, self._shipped = display, max(1, total), name, shipped
        self._last: dict[str, str] = {}
        self._finished = 0

    def said(self, job: Job, text: str) -> None:
        """A board's command has said this."""
        name = self._name(job)
        self._last[name] = text if self._shipped is None else self._shipped.as_given(text, name)
        self._show()

    def news(self, text: str) -> None:
        """A board or the scheduler is gone, or back."""
        with self._display.away():
            write(sys.stderr, text)

    def finished(self, job: Job) -> None:
        """A job has ended."""
        self._finished += 1
        self._last.pop(self._name(job), None)
        self._show()

    def _show(self) -> None:
        now = "; ".join(f"{name}: {text}" for name, text in sorted(self._last.items()))
        share = self._finished / self._total
        self._display(f"{self._finished} of {counted(self._total, 'job')} done" + (f": {now}" if now else ""), share)
