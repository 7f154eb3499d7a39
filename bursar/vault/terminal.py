"""One line from a terminal, unseen when it is a secret. No message repeats it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import unicodedata
from collections.abc import Iterator

from engine.errors import InvalidValue

LONGEST_LINE = 4095
"""Bytes: so much of a line a terminal passes on. It drops the rest without a word."""
PASTED_SECONDS = 0.1
"""The next line of a text that was pasted is there by then; nobody types one as fast."""


def ask(what: str, *, is_secret: bool) -> str:
    """What is typed, without its end of line.

    Raises `InvalidValue` that names `what` when it is not the whole of one line of text. `getpass` would take the first
    line of a pasted key, and the beginning of one that is too long.
    """
    terminal = sys.stdin.fileno()
    with _unseen(terminal) if is_secret else contextlib.nullcontext():
        _show(terminal, f"{what} (not shown): " if is_secret else f"{what}: ")
        line = os.read(terminal, 2 * LONGEST_LINE)
        has_more = False
        while line.endswith(b"\n") and _is_waiting(terminal) and os.read(terminal, 2 * LONGEST_LINE):
            # Taken away as well: the shell would run it, and keep it in its history.
            has_more = True
        if has_more:
            termios.tcflush(terminal, termios.TCIFLUSH)
    if is_secret or not line.endswith(b"\n"):
        _show(terminal, "\n")
    # Without a hint for whom types, such as "(empty: none)".
    return _checked(line, what.partition(" (")[0], has_more=has_more)


def _checked(line: bytes, what: str, *, has_more: bool) -> str:
    if not line.endswith(b"\n"):
        raise InvalidValue(what, "was not given")
    if has_more:
        raise InvalidValue(what, "has several lines; pipe it into the command")
    if len(line) > LONGEST_LINE:
        raise InvalidValue(what, "is longer than what a terminal passes on; pipe it into the command")
    try:
        text = line[:-1].decode()
    except UnicodeDecodeError:
        # Its message would quote the bytes.
        raise InvalidValue(what, "must be text in UTF-8") from None
    if any(unicodedata.category(each) == "Cc" for each in text):
        raise InvalidValue(what, "has something in it that is no character, such as an arrow key; type it again")
    return text


def _show(terminal: int, text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()
    else:
        # Nobody would see what is asked for.
        with contextlib.suppress(OSError):
            os.write(terminal, text.encode())


def _is_waiting(terminal: int) -> bool:
    return bool(select.select([terminal], [], [], PASTED_SECONDS)[0])


@contextlib.contextmanager
def _unseen(terminal: int) -> Iterator[None]:
    """Without echo, and with what was typed before or is left after it thrown away."""
    before = termios.tcgetattr(terminal)
    without_echo = [*before]
    without_echo[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, without_echo)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
