"""What these commands write: plain lines, with colour only on a terminal (and never with NO_COLOR)."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from engine.document.diff import Change
from engine.document.plan import PlannedChange
from engine.document.store import VersionRecord

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def say(line: str, style: str = "", *, to_stderr: bool = False) -> None:
    """Write one line as it is, however long."""
    console = Console(stderr=to_stderr, highlight=False)
    # Rich would still write bold.
    console.print(Text(shown(line), "" if console.no_color else style), soft_wrap=True)


def say_changes(changes: Iterable[Change | PlannedChange], *, to_stderr: bool = False) -> None:
    """Write what changes, one line each; several effects of one change have their own lines below it."""
    for each in changes:
        planned = each if isinstance(each, PlannedChange) else PlannedChange(each)
        mark, style = _MARKS[planned.change.kind]
        first, *effects = planned.lines
        say(f"  {mark} {first}", style, to_stderr=to_stderr)
        for effect in effects:
            say(f"      {effect}", style, to_stderr=to_stderr)


def is_interactive() -> bool:
    """Whether a person can be asked."""
    # Either is None where it was closed before the start.
    return bool(sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty())


def confirmed(question: str) -> bool:
    """Ask; everything but a yes is a no. Ctrl-C is passed on, with the question's line ended."""
    sys.stdout.flush()
    try:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise


def shown(text: str) -> str:
    """Text that may come from anybody, without what would move the cursor or hide other words."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) in _UNSEEN else each for each in text)


_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def when(instant: datetime) -> str:
    """`2026-11-23 14:05 UTC`."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def version_line(record: VersionRecord) -> str:
    """Who made a version, when and why."""
    return f"{record.version:>4}  {when(record.created_at)}  {record.author}  {record.reason}".rstrip()
