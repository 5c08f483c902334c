"""Files on their way to a board and back, in one archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from opclock.errors import FarmError

MAX_BYTES = 512_000_000  # that travel with one job: the scheduler holds them in memory


def packed(files: Mapping[str, Path]) -> bytes:
    """Put files into an archive.

    Args:
        files: by their names in it.

    Raises:
        FarmError: they are too large, or one cannot be read.
    """
    buffer, total = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for name, path in sorted(files.items()):
            try:
                total += path.stat().st_size
                if total > MAX_BYTES:
                    raise FarmError(f"{path} and what travels with it are over {MAX_BYTES / 1e6:.0f} MB: put the model "
                                    "into a folder of its own, or copy it to the boards")  # fmt: skip
                # The same files make the same archive: by it a job is found again.
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED, 1)
            except OSError as error:
                raise FarmError(f"cannot read {path}: {error.strerror}") from error
            except UnicodeEncodeError as error:
                raise FarmError(f"the name {str(path)!a} is not UTF-8 and cannot travel: rename the file") from error
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Write an archive's files into a folder. None lands outside of it. Raises OSError where one cannot be written."""
    if archive:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(folder)


def below(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The files that these names stand for in a folder, and those inside of folders; missing ones are left out."""
    found: dict[str, Path] = {}
    for name in names:
        path = folder / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found |= {one.relative_to(folder).as_posix(): one for one in inside if one.is_file()}
    return found
