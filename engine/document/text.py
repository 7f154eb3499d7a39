"""Read a file that an administrator wrote: its text, and that text's plain content with the line of every part."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from engine.document.json_text import begins_as_json, read_json
from engine.document.problems import one_line
from engine.document.tree import Lines, Unreadable
from engine.document.yaml_text import read_yaml
from engine.errors import DocumentError

LARGEST_FILE_BYTES = 5_000_000


def content_of(text: str, path: Path) -> tuple[Any, Lines]:
    """The content of a text from `path`: JSON when it is named or begins so, else YAML. Raises `DocumentError`."""
    as_json = path.suffix.lower() == ".json" or begins_as_json(text)
    try:
        return read_json(text) if as_json else read_yaml(text)
    except Unreadable as unreadable:
        problem = f"is not readable {'JSON' if as_json else 'YAML'}: {one_line(unreadable.problem)}"
        place = "" if unreadable.line is None else f"line {unreadable.line}"
        where = one_line(str(path)) + (f", {place}" if place else "")
        raise DocumentError(f"{where}: {problem}", (f"{place}: {problem}" if place else problem,)) from None


def text_of(path: Path) -> str:
    """The text of a file of reasonable size. Raises `DocumentError`."""
    name = one_line(str(path))
    try:
        # Opening a pipe without a writer would wait for ever; O_NONBLOCK does not.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb", closefd=True) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DocumentError(f"{name}: cannot be read: it is a pipe or device, not a file")
            # One byte more than allowed: the file may grow after its size was asked for.
            data = b"" if status.st_size > LARGEST_FILE_BYTES else file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(f"{name}: cannot be read: no file can have this name") from None
    if status.st_size > LARGEST_FILE_BYTES or len(data) > LARGEST_FILE_BYTES:
        raise DocumentError(f"{name}: larger than {LARGEST_FILE_BYTES // 1_000_000} MB; is this the right file?")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(f"{name}, line {line}: is not UTF-8 text", (f"line {line}: is not UTF-8 text",)) from None
