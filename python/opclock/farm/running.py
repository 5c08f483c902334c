"""Runs a job on the board: in a child process, in a folder that stays, so that the job goes on after a fault."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from opclock.farm.archive import below, packed, unpack
from opclock.farm.child import ERRORS, TEXT, Command, said
from opclock.farm.examination import installed
from opclock.farm.gate import wait_until_fit
from opclock.farm.job import RESULT, TAKEN_UP_S, Job, Outcome, given_at_s
from opclock.profiles.profile import log_of

LOOK_S = 2.0  # from one look at a running command to the next
KEPT = 8  # folders of jobs that stay
OUTCOME = "outcome.json"  # in the folder of a job that has ended


class Runner:
    """Runs jobs one after the other.

    Attributes:
        current: the running job's id; "" where there is none.
        changed: is called at the begin and at the end of a job.
        progress: receives what the command last said.
    """

    def __init__(self, name: str, store: Path, accepted: Collection[str]) -> None:
        """Prepare.

        Args:
            name: the board's.
            store: the folder of the jobs' folders.
            accepted: checks that may fail here, see ``gate``.
        """
        self._name, self._store, self._accepted = name, store, accepted
        self._command: Command | None = None
        self._stopped = False
        self.current = ""
        self.changed: Callable[[], None] = lambda: None
        self.progress: Callable[[str], None] = lambda _text: None

    def run(self, job: Job, *, cancelled: Callable[[], bool]) -> Outcome:
        """Run a job, or tell what came of it where it has ended before.

        Args:
            job: the job.
            cancelled: whether nobody waits for it any more. It is asked now and then.

        Returns:
            What came of it. A fault of the command or the board is no exception.
        """
        self.current = job.id
        self.changed()
        folder = self._store / job.id
        try:
            if (folder / OUTCOME).is_file():
                return _kept(folder)
            outcome = self._refusal(job, cancelled) or self._ran(job, folder, cancelled)
            if outcome.status in ("done", "failed") and not self._stopped and not cancelled():
                with contextlib.suppress(OSError):  # of a full disk: the answer goes to who waits for it nevertheless
                    self._keep(outcome, folder, job)
            return outcome
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if full:  # given again, it is another job: what is left would keep the disk full
                shutil.rmtree(folder, ignore_errors=True)
            remedy = "make room on its disk" if full else f"look at {self._store} there"
            return Outcome(self._name, "failed", f"cannot write on the board: {error.strerror or error}; {remedy}")
        finally:
            self.current = ""
            if not self._stopped:
                self.changed()

    def stop(self) -> None:
        """Let the running command die with the worker. What it stored stays, and the job goes on later."""
        self._stopped = True
        if (command := self._command) is not None:
            command.end()

    def _refusal(self, job: Job, cancelled: Callable[[], bool]) -> Outcome | None:
        """Why the job does not run here now; None where it does."""
        now = installed()
        for name, wanted in job.versions:
            if now.get(name) != wanted:
                reason = f"it now has {name} {now.get(name)} in place of {wanted}: let it join again"
                return Outcome(self._name, "refused", reason)
        if reason := wait_until_fit(self._accepted, wait=job.wait, ended=cancelled):
            return Outcome(self._name, "skipped", reason)
        return None

    def _ran(self, job: Job, folder: Path, cancelled: Callable[[], bool]) -> Outcome:
        if not folder.exists() and (left := self._left(job)) is not None:
            left.rename(folder)
        folder.mkdir(parents=True, exist_ok=True)
        unpack(job.files, folder)
        for name in job.outputs:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if job.profile and not (folder / job.profile_name).exists():
            (folder / job.profile_name).write_bytes(job.profile)
        variables = {"COLUMNS": str(job.columns)} if job.columns else {}
        start = time.monotonic()
        self._command = command = Command(job.words, folder, variables)
        try:
            reason = self._watch(command, start + job.limit_s, cancelled)
        finally:
            code = command.end()
            self._command = None
        reason = f"no end within {job.limit_s:g} s: it was ended" if reason == "limit" else reason
        return self._outcome(job, folder, code, reason, time.monotonic() - start)

    def _left(self, job: Job) -> Path | None:
        """The folder of the last equal job within a day, where that was cancelled before it ended."""
        equal = self._store.glob(f"{job.id.rpartition('-')[0]}-*")
        last = max(equal, key=lambda folder: given_at_s(folder.name), default=None)
        if last is None or (last / OUTCOME).exists() or given_at_s(job.id) - given_at_s(last.name) > TAKEN_UP_S:
            return None
        return last

    def _watch(self, command: Command, until: float, cancelled: Callable[[], bool]) -> str:
        """Wait for the end. Returns "" where it came, else why nobody waits any longer."""
        said, said_bytes = "", 0
        while command.wait(max(0.0, min(LOOK_S, until - time.monotonic()))) is None:
            if time.monotonic() >= until:
                return "limit"
            if cancelled():
                return "nobody waits for it any more"
            if (size := command.said_bytes) == said_bytes:
                continue
            said_bytes = size
            if (words := command.last_words) != said:
                said = words
                self.progress(said)
        return ""

    def _outcome(self, job: Job, folder: Path, code: int, reason: str, seconds: float) -> Outcome:
        words = said(folder / ERRORS).strip().splitlines()
        last = next((line for line in reversed(words) if line.strip()), "")
        if not reason and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            reason = f"its process was killed by {name}" + (f"; it said: {last}" if last else "")
        elif not reason and (code > 1 or (code == 1 and "Traceback (most recent call last):" in words)):
            reason = last.removeprefix("opclock: ") or f"exit code {code}"
        done = not reason and code in (0, 1)
        outcome = Outcome(self._name, "done" if done else "failed", reason, code, said(folder / TEXT),
                          _json(folder / RESULT), seconds=seconds)  # fmt: skip
        return _with_files(outcome, folder, job)

    def _keep(self, outcome: Outcome, folder: Path, job: Job) -> None:
        """Keep what came of a job until it is fetched for certain, and remove what was kept long ago."""
        texts = {**asdict(outcome), "profile": job.profile_name if outcome.profile else "", "files": ""}
        (folder / "files.zip").write_bytes(outcome.files)
        (folder / f"{OUTCOME}.part").write_text(json.dumps(texts), encoding="utf-8")
        (folder / f"{OUTCOME}.part").replace(folder / OUTCOME)
        others = sorted(self._store.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in others[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _with_files(outcome: Outcome, folder: Path, job: Job) -> Outcome:
    """The outcome with the profile and the outputs."""
    profile = _profile(folder / job.profile_name) if job.profile_name else b""
    digest = hashlib.sha256(profile).hexdigest() if profile else ""
    if profile == job.profile:  # this machine has it
        profile = b""
    return replace(outcome, profile=profile, profile_sha256=digest, files=packed(below(folder, job.outputs)))


def _profile(path: Path) -> bytes:
    """The profile's bytes; empty where there is none. What a killed command left in its log is folded in first."""
    if not path.is_file():
        return b""
    if log_of(path).exists():
        import sqlite3

        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


def _kept(folder: Path) -> Outcome:
    """What came of a job that has ended before."""
    data: dict[str, Any] = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
    profile = _profile(folder / data["profile"]) if data["profile"] else b""
    return Outcome(**{**data, "profile": profile, "files": (folder / "files.zip").read_bytes()})


def _json(path: Path) -> dict[str, Any] | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data
