"""Differences between price books, written for people."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.governing.screen import say
from engine.pricing.book_diff import BookChange

MOST_ADDED_SHOWN = 10
_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def say_book_changes(changes: Sequence[BookChange], *, every: bool = True, to_stderr: bool = False) -> None:
    """Write what changes, one line each. Unless `every` is wanted, of many additions the first and their number."""
    added = [change for change in changes if change.kind == "added"]
    hidden = 0 if every else max(0, len(added) - MOST_ADDED_SHOWN)
    unseen = set(map(id, added[MOST_ADDED_SHOWN:])) if hidden else set()
    for change in changes:
        if id(change) not in unseen:
            mark, style = _MARKS[change.kind]
            say(f"  {mark} {change}", style, to_stderr=to_stderr)
    if hidden:
        say(f"  + ... and {hidden:,} more; --all shows them", "green", to_stderr=to_stderr)
