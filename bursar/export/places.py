"""Where an export goes: standard output, a new file, or whatever else a name stands for."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol, TextIO

from engine.errors import BursarError

STANDARD_OUTPUT = ("-", "/dev/stdout")
"""Opened by its name, standard output would lose what was redirected into its file before."""


class Sink(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> object:
        """Take some text."""
        ...

    def flush(self) -> None:
        """Hand on what was taken."""
        ...


def named_place(out: Path | None) -> Path | None:
    """The place that a name stands for, `None` for standard output."""
    return None if out is None or str(out) in STANDARD_OUTPUT else out


@contextlib.contextmanager
def opened(out: Path | None, *, force: bool) -> Iterator[Sink]:
    """Open the place to write to, standard output for `None`. Raises `BursarError` naming it when that cannot be done.

    A file is written beside its place and takes its name at the end, when all went well; one that is there already is
    replaced with `force` only. What a link points to is written, not the link. A pipe or a device stays what it is.
    """
    if out is None:
        with _standard_output() as stream:
            yield stream
        return
    there = _kind_of(out)
    if there is None or stat.S_ISREG(there):
        if there is not None and not force:
            raise BursarError(f"{out} exists; give --force to replace it")
        with _whole_file(out) as sink:
            yield sink
    elif stat.S_ISDIR(there):
        raise BursarError(f"{out}: is a directory; name a file")
    else:
        with _as_it_is(out) as sink:
            yield sink


def _kind_of(out: Path) -> int | None:
    try:
        # Before links are followed by their names: that of a pipe in /dev/fd names nothing.
        return out.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unwritable(out, error) from None


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    if isinstance(sys.stdout, TextIOWrapper):
        # Whatever the terminal speaks; the line ends are the file's own.
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    try:
        yield sys.stdout
    except BrokenPipeError:
        # The reader has seen enough. What is still buffered must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _whole_file(out: Path) -> Iterator[Sink]:
    with _blamed(out):
        target = out.resolve()
        partial = target.with_name(f".{target.name[:64]}.{os.getpid()}.partial")
        # What it holds is for whoever may read the ledger.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with _stream(out, descriptor) as sink:
            yield sink
            with _blamed(out):
                sink.flush()
                os.fsync(descriptor)
        with _blamed(out):
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_it_is(out: Path) -> Iterator[Sink]:
    with _blamed(out):
        descriptor = os.open(out, os.O_WRONLY)
    with _stream(out, descriptor) as sink:
        yield sink
        sink.flush()


@contextlib.contextmanager
def _stream(out: Path, descriptor: int) -> Iterator[Sink]:
    stream = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115 - it is open already
    try:
        yield _Named(out, stream)
    finally:
        # Flushed before, when all went well; else what is left is of no use, and cannot be written either.
        with contextlib.suppress(OSError):
            stream.close()


class _Named:
    """A stream whose errors name it. What else goes wrong meanwhile is not its fault."""

    def __init__(self, out: Path, stream: TextIO) -> None:
        self._out = out
        self._stream = stream

    def write(self, text: str, /) -> object:
        with _blamed(self._out):
            return self._stream.write(text)

    def flush(self) -> None:
        with _blamed(self._out):
            self._stream.flush()


@contextlib.contextmanager
def _blamed(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        # Links in a circle are a RuntimeError until Python 3.13.
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError | RuntimeError) -> BursarError:
    return BursarError(f"{out}: cannot be written: {getattr(error, 'strerror', None) or error}")
