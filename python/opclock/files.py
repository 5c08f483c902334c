"""Writes files and JSON, and reads files that may be missing. Every file that a user names is written here."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from opclock.errors import OptionError

OWN_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+)(?:/task/\d+)?)/fd/(\d+)")
STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
MAX_LINKS = 40  # as many as Linux follows
DATABASE = b"SQLite format 3\0"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it never holds only a part of the content.

    A regular or new file is written beside its place and renamed into it, with the owner and permissions of the file
    that it replaces. Links are followed and stay. Devices, pipes and open descriptors (/dev/stdout, ``>(...)``) are
    written through.

    Raises:
        OptionError: it cannot be written; what was there is unchanged.
        BrokenPipeError: the reader of a pipe has ended.
    """
    try:
        descriptor = _own_descriptor(path)
        if descriptor is not None:
            sys.stdout.flush()  # what was printed comes first
            _write_through(os.dup(descriptor), content)
        elif _is_stream(path):
            _write_through(os.open(path, os.O_WRONLY), content)
        else:
            _replace(_behind_links(path), content)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(path, error) from error


def check_writable(path: Path, *, database: bool = False) -> None:
    """Check that `write_whole` can write a file, before long work and without touching what is there.

    Args:
        path: the file.
        database: whether it may be a database, such as a profile, which is not replaced.

    Raises:
        OptionError: the file cannot be written, or is a database which would be replaced.
    """
    try:
        descriptor = _own_descriptor(path)
        if descriptor is not None:
            os.fstat(descriptor)
            return
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if _is_stream(path):
            return
        target = _behind_links(path)
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}")
        with tempfile.TemporaryFile(dir=target.parent) as probe:
            user = os.fstat(probe.fileno()).st_uid
        if target.exists() and user not in (0, target.stat().st_uid):
            raise PermissionError(errno.EPERM, "it belongs to another user")
        if not database and _is_database(target):
            raise OptionError(f"{path} is a profile or another database, which this would replace: name another file")
    except OSError as error:
        raise _cannot_write(path, error) from error


def prepare_folder(folder: Path) -> None:
    """Create the folder and check that it is writable. Raises OptionError where it is not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OptionError(f"cannot write into {folder}: {error.strerror}; name another folder") from error


def write_json(path: Path, data: Any, *, indent: int | None = 2) -> None:  # noqa: ANN401
    """Write data as JSON with `write_whole`, which says what it raises."""
    write_whole(path, (json_text(data, indent=indent) + "\n").encode())


def json_text(data: Any, *, indent: int | None = None, compact: bool = False, sort_keys: bool = False) -> str:  # noqa: ANN401
    """Format data as JSON.

    Args:
        data: what ``json.dumps`` takes. NaN and infinities, which JSON lacks, become null, NumPy's numbers and arrays
            Python's own, and what else JSON lacks its text: what was measured must not be lost for it.
        indent: spaces of each level; None: one line.
        compact: whether to leave out the spaces after commas and colons.
        sort_keys: whether keys are in alphabetical order.

    Returns:
        The text.
    """
    dumps = partial(json.dumps, indent=indent, separators=(",", ":") if compact else None, sort_keys=sort_keys,
                    allow_nan=False)  # fmt: skip
    try:
        return dumps(data)
    except (TypeError, ValueError):  # rare, and looking for them takes longer than writing
        return dumps(_plain(data))


def text_of(path: Path) -> str:
    """A small file's text without null bytes and outer spaces; "" where it is unreadable, as some files in /sys are."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    except OSError:
        return ""


def no_file(path: Path) -> str:
    """What a message says where a file is missing: links may lead nowhere, or in a circle."""
    return f"there is no file {path}" + (", only a link that leads to none" if path.is_symlink() else "")


def _plain(data: Any) -> Any:  # noqa: ANN401
    """The data in what JSON has."""
    if isinstance(data, float):
        return float(data) if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {_plain(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [_plain(value) for value in data]
    if hasattr(data, "tolist"):  # of NumPy, which is not imported for this
        return _plain(data.tolist())
    return data if data is None or isinstance(data, str | int) else str(data)


def _replace(target: Path, content: bytes) -> None:
    """Write a file beside its place, bring it to the disk, and rename it. Raises OSError."""
    before = target.stat() if target.exists() else None
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    descriptor, name = tempfile.mkstemp(prefix=".opclock-", suffix=".part", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is None:
            unfinished.chmod(0o666 & ~_umask())
        else:
            _take_over(unfinished, before)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _bring_to_disk(target.parent)


def _take_over(unfinished: Path, before: os.stat_result) -> None:
    """Give a file the owner and permissions of the one it replaces. Raises OSError where this user may not."""
    own = unfinished.stat()
    if hasattr(os, "chown") and own.st_uid != before.st_uid:
        os.chown(unfinished, before.st_uid, -1)
    if hasattr(os, "chown") and own.st_gid != before.st_gid:
        with suppress(PermissionError):  # only members of a group may give files to it
            os.chown(unfinished, -1, before.st_gid)
    unfinished.chmod(stat.S_IMODE(before.st_mode))


def _umask() -> int:
    """The permissions that new files lack. They can only be read by setting others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _bring_to_disk(folder: Path) -> None:
    """Make a rename survive a loss of power, where the system and the disk can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_through(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left) or 0 :]


def _behind_links(path: Path) -> Path:
    """The file at the end of symbolic links, whether or not it exists. Raises OSError where links go in a circle."""
    for _ in range(MAX_LINKS):
        if not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _own_descriptor(path: Path) -> int | None:
    """The number of this process's open descriptor that a path stands for, such as /dev/stdout; None for a file."""
    for _ in range(MAX_LINKS):
        text = str(path.absolute())
        found = OWN_DESCRIPTOR.fullmatch(text)
        if text in STANDARD or found:
            process = re.match(r"/proc/(\d+)/", text)
            if process and int(process[1]) != os.getpid():
                return None
            return int(found[1]) if found else STANDARD[text]
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _is_stream(path: Path) -> bool:
    """Whether a path leads to something other than a regular or new file: a device, a pipe, another's descriptor."""
    return path.exists() and not path.is_file()


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(DATABASE)) == DATABASE
    except OSError:
        return False


def _cannot_write(path: Path, error: OSError) -> OptionError:
    remedy = "name a file in a folder that can be written"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "make room on its disk, or name a file on another"
    elif error.errno == errno.ELOOP:
        remedy = "its links lead in a circle: remove one, or name another file"
    return OptionError(f"cannot write {path}: {error.strerror}; {remedy}")
