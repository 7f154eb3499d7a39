"""Read a bill from a file: plain or gzip, line by line, with a progress bar when it is long."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bursar.governing.screen import shown
from engine.errors import BursarError
from engine.pricing.billing.problems import BillError
from engine.pricing.billing.reading import BillOptions, read_bill
from engine.pricing.billing.tally import Bill

LONGEST_LINE_BYTES = 1_000_000
LONG_FILE_BYTES = 2_000_000
"""From this size on a person sees how far reading is."""

_LINES_BETWEEN_UPDATES = 2_000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class BillFile:
    """A bill as it was read: the name of its file for messages, and the file's hash."""

    name: str
    sha256: str
    bill: Bill


def read_file(path: Path, options: BillOptions) -> BillFile:
    """Read a bill's file, with a bar for a person who waits. Raises `BillError`."""
    name = shown(path.name)
    with _opened(path) as metered:
        size = os.fstat(metered.fileno()).st_size
        with _progress(size) as update, _whole(name), contextlib.closing(io.BufferedReader(metered)) as plain:
            zipped = plain.peek(2)[:2] == _GZIP
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=plain) if zipped else plain)
            bill = read_bill(name, _lines(name, stream, lambda: update(metered.position)), options)
            while plain.read(65_536):
                pass
            return BillFile(name, metered.sha256.hexdigest(), bill)


class _Metered(io.FileIO):
    """A file that knows how far it was read, and the hash of that."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        self.sha256 = hashlib.sha256()
        self.position = 0

    def readinto(self, buffer: Any) -> int | None:
        """Read up to as much as fits."""
        size = super().readinto(buffer)
        if size:
            self.sha256.update(memoryview(buffer)[:size])
            self.position += size
        return size


def _opened(path: Path) -> _Metered:
    name = shown(str(path))
    try:
        # Opening a pipe without a writer would wait for ever; O_NONBLOCK does not.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise BursarError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BursarError(f"{name}: cannot be read: no file can have this name") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return _Metered(descriptor)
    os.close(descriptor)
    what = "a directory" if stat.S_ISDIR(mode) else "a pipe or device"
    raise BursarError(f"{name}: cannot be read: it is {what}, not a file")


@contextlib.contextmanager
def _whole(name: str) -> Iterator[None]:
    """Say in one sentence that a file ends too early or cannot be read to its end."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise BillError(name, ["is a damaged gzip file; get it again"], 1) from None
    except OSError as error:
        raise BursarError(f"{name}: cannot be read: {error.strerror}") from None


def _lines(name: str, stream: BinaryIO, progressed: Callable[[], None]) -> Iterator[str]:
    number = 0
    while raw := stream.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        if len(raw) > LONGEST_LINE_BYTES:
            raise BillError(name, [f"line {number:,} is longer than 1 MB; is this a CSV file?"], 1)
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            raise BillError(name, [f"line {number:,} is not UTF-8 text; save the file as CSV UTF-8"], 1) from None
        if number % _LINES_BETWEEN_UPDATES == 0:
            progressed()


@contextlib.contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    disable = not console.is_terminal or size < LONG_FILE_BYTES
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task("Reading", total=size)
        yield lambda position: progress.update(task, completed=position)
