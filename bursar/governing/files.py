"""Read documents with all their problems; write files as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from bursar.governing.screen import shown
from engine.document.load import DocumentSource, read_source
from engine.errors import BursarError, DocumentError

MOST_PROBLEMS_SHOWN = 10
_MARK = "\ufeff"


def rewrite(path: Path, expected: str, text: str) -> None:
    """Replace the content of `path`, which must still be `expected`; a byte order mark before it stays."""
    # What a link points to is replaced, not the link.
    path = path.resolve()
    try:
        found = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        found = ""
    if found.removeprefix(_MARK) != expected:
        raise BursarError(f"{path} was changed meanwhile and is left as it is")
    _replace(path, (_MARK if found.startswith(_MARK) else "") + text)


def read_listing(path: Path) -> DocumentSource:
    """Read a document; when several things are wrong with it, the error lists the others below the first."""
    try:
        return read_source(path)
    except DocumentError as error:
        others = error.problems[1:]
        if not others:
            raise
        lines = [str(error), *(f"  {problem}" for problem in others[:MOST_PROBLEMS_SHOWN])]
        if len(others) > MOST_PROBLEMS_SHOWN:
            more = len(others) - MOST_PROBLEMS_SHOWN
            lines.append(f"  ... and {more:,} more; bursar validate {shown(str(path))} lists all")
        raise DocumentError("\n".join(lines), error.problems) from None


def is_read_only(path: Path) -> bool:
    """Whether a file is marked as not to be written by anybody, whatever this user may do to its directory."""
    try:
        return not path.stat().st_mode & 0o222
    except OSError:
        return False


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file; one that is there already is replaced with `force` only."""
    if force and path.exists():
        _replace(path.resolve(), text)
        return
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise BursarError(f"{path} exists; give --force to replace it") from None
    except OSError as error:
        raise BursarError(f"{path} cannot be written: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:64]}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, temporary)
        os.replace(temporary, path)  # noqa: PTH105 - both names are of one directory
        temporary = None
    except OSError as error:
        raise BursarError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
