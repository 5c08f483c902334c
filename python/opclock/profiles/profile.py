"""The profile: the measurements of one board, with raw samples, in one SQLite file. Opening and closing it."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from opclock.argument_checks import checked
from opclock.board.identity import Board
from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.profiles import schema
from opclock.profiles.damage import SYMPTOMS, damaged_place
from opclock.profiles.database_errors import as_profile_errors
from opclock.profiles.writer import ProfileWriter
from opclock.temporary import temporary_folder

CACHE_BYTES = 1 << 26  # of a writer, which changes pages all over the index of op calls
LOG_PAGES = 16_000  # of 4 KiB before the log is written into the file: the same pages change many times
BUSY_S = 60.0  # how long a second writer waits; storing one block takes milliseconds
WITH_LOG = 2  # in the file's header, byte 18: what was written last may be in the log beside the file
HEADER_LOOKS, HEADER_LOOK_S = 6, 0.05  # a writer that opens or closes the file is between header and log for less


class Profile(ProfileWriter):
    """An open profile. Use it in a ``with`` block. Rounds are on disk when ``add_rounds`` returns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool, copied: bool = False) -> None:
        super().__init__(path, connection)
        self.copied = copied  # whether this is a converted copy, in memory, of a file with an older schema
        self.writable = writable
        # The file stays whole without its log, even where nobody calls close.
        self._fold_log = weakref.finalize(self, _fold_log, connection, os.getpid()) if writable else None

    @staticmethod
    @checked
    def create_or_open(path: str | Path, board: Board) -> Profile:
        """Open a profile for writing; create it for this board where it does not exist.

        Args:
            path: the file.
            board: this board.

        Returns:
            The open profile.

        Raises:
            ProfileError: the file cannot be written, is not a profile, is damaged, or is from another board or a newer
                opclock. Such a file is left as it is.
        """
        path = Path(path)
        _refuse_others(path)
        if not path.resolve().parent.is_dir():
            raise ProfileError(f"cannot write the profile {path}: there is no folder {path.parent}; make it first")
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            _open_to_read(path)[0].close()  # checked first: a file that is not a profile stays unchanged
        with as_profile_errors(path):
            name = f"{path.resolve().as_uri()}?mode=rwc"  # a URI, so that `beside` may attach one
            connection = sqlite3.connect(name, uri=True, timeout=BUSY_S, isolation_level=None)
            # A write-ahead log keeps the file intact when a writer is killed, and lets two processes write.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # boards lose power
            connection.execute("PRAGMA foreign_keys = OFF")  # migrations replace tables
            connection.execute(f"PRAGMA cache_size = {-CACHE_BYTES // 1024}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            profile = Profile(path, connection, writable=True)
            try:
                with profile.changing():
                    schema.make_tables(connection)
                    connection.execute(
                        "INSERT OR IGNORE INTO board VALUES (1, ?, ?)", (board.identity, json_text(board.to_json()))
                    )
                    identity = connection.execute("SELECT identity FROM board").fetchone()[0]
                    if identity != board.identity:
                        raise ProfileError(
                            f"{path} is the profile of another board ({identity}), this is {board.identity}: "
                            "give another --profile file"
                        )
                connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                profile.close()
                raise
        return profile

    @staticmethod
    @checked
    def edit(path: str | Path) -> Profile:
        """Open a profile of any board for merging or pruning. Raises ProfileError as ``open`` does."""
        with Profile.open(path) as profile:
            board = Board.from_json(profile.board())
        return Profile.create_or_open(path, board)

    @staticmethod
    @checked
    def open(path: str | Path) -> Profile:
        """Open a profile for reading only.

        Raises ProfileError where the file is missing or damaged, is not a profile, or is from a newer opclock.
        """
        path = Path(path)
        connection, version = _open_to_read(path)
        if version == 0:
            connection.close()
            raise ProfileError(
                f"{path} holds nothing yet: its writer has just begun or was stopped; try again, or write into it with "
                f"'opclock measure MODEL --profile {path}' (a language model: 'opclock llm')"
            )
        copied = version < schema.SCHEMA_VERSION
        return Profile(path, _newer_copy(connection) if copied else connection, writable=False, copied=copied)

    def close(self) -> None:
        """Close the profile. The log is written into the file first, unless another process is writing."""
        if self._fold_log is not None:
            self._fold_log()
        self._connection.close()

    def __enter__(self) -> Profile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, SYMPTOMS):
                self._explain(error)
        finally:
            self.close()

    def _explain(self, error: Exception) -> None:
        """Raise ProfileError where an error inside the block comes from a damaged row."""
        with as_profile_errors(self.path):
            place = damaged_place(self._connection)
        if place is not None:
            raise ProfileError(
                f"the profile {self.path} is damaged ({place}): restore a copy, or measure into another file"
            ) from error

    @contextmanager
    def beside(self, other: Profile) -> Iterator[None]:
        """Inside the block, the tables of another profile can be read under the name ``other``."""
        with temporary_folder() as folder:
            path = other.path
            if other.copied:
                path = folder / "copy.sqlite"
                with sqlite3.connect(path) as copy:
                    other._connection.backup(copy)
                copy.close()
            with as_profile_errors(path):
                self._connection.execute("ATTACH DATABASE ? AS other", (_reading(path),))
            try:
                yield
            finally:
                self._connection.execute("DETACH DATABASE other")

    def image(self) -> bytes:
        """The bytes of a file that holds the same, without a log beside it."""
        with temporary_folder() as folder, closing(sqlite3.connect(folder / "copy.sqlite")) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.commit()
            return (folder / "copy.sqlite").read_bytes()


def _open_to_read(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open a file read-only and check it. Returns its schema version too: 0 where it has no tables yet."""
    _refuse_others(path)
    write_one = f"'opclock measure MODEL --profile {path}' (a language model: 'opclock llm')"
    if not path.is_file():
        raise ProfileError(f"there is no profile {path}; write one with {write_one}")
    if path.stat().st_size == 0 and not log_of(path).exists():
        raise ProfileError(f"{path} is empty; write a profile with {write_one}")
    _refuse_half_a_copy(path)
    with as_profile_errors(path):
        connection = sqlite3.connect(_reading(path), uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            return connection, schema.check(path, connection)
        except BaseException:
            connection.close()
            raise


def _reading(path: Path) -> str:
    """A URI that opens a file for reading only: nothing of it changes, not even its header."""
    log = log_of(path)
    # A file in a read-only folder has no log beside it, and nobody can change it.
    frozen = not log.exists() and not os.access(log.parent, os.W_OK)
    return f"{path.resolve().as_uri()}?{'mode=ro&immutable=1' if frozen else 'mode=ro'}"


def log_of(path: Path) -> Path:
    """Where SQLite keeps what was written and is not in the file yet."""
    path = path.resolve()
    return path.with_name(path.name + "-wal")


def _refuse_half_a_copy(path: Path) -> None:
    """Raise ProfileError where the file's header says that it has a log, and there is none: it was copied alone."""
    for _ in range(HEADER_LOOKS):
        if not _misses_log(path):
            return
        time.sleep(HEADER_LOOK_S)
    raise ProfileError(
        f"{path} was copied while a process was writing it, and its log {path.name}-wal is missing: copy both files "
        f"together, or copy it again when nobody writes; what is in this file alone is read after 'sqlite3 {path} "
        '"PRAGMA journal_mode = DELETE"\''
    )


def _misses_log(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = file.read(19)
    except OSError:  # SQLite will say why
        return False
    return header.startswith(b"SQLite format 3\0") and header[18:] == bytes([WITH_LOG]) and not log_of(path).exists()


def _fold_log(connection: sqlite3.Connection, owner: int) -> None:
    """Write the log into the file, and remove it, unless another process is writing.

    A reader is waited for: where it ends between this and the closing of the connection, SQLite removes the log, and
    the file looks like one that was copied without it.
    """
    if os.getpid() != owner:  # a fork: SQLite's connections belong to one process
        return
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
    for _ in range(HEADER_LOOKS):
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA journal_mode = DELETE")
            return
        time.sleep(HEADER_LOOK_S)


def _refuse_others(path: Path) -> None:
    """Raise ProfileError for what is there and no regular file: a folder, a device, a pipe, links in a circle."""
    if path.is_dir():
        raise ProfileError(f"{path} is a folder; name a file in it, such as {path / 'board.sqlite'}")
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ProfileError(f"cannot use the profile {path}: {error.strerror}; give another file") from error
    if not stat.S_ISREG(kind):
        raise ProfileError(f"{path} is a device or a pipe, which can hold no profile; give a file")


def _newer_copy(old: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of a profile with an older schema, converted in memory: a reader does not change the file."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with old:
        old.backup(copy)
    old.close()
    schema.make_tables(copy)
    return copy
