"""Differences between price books, written for people."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.governing.screen import say
from engine.clock import utc_now
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import BookChange, net_changes

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


def say_net_changes(before: PriceBook, after: PriceBook, changes: Sequence[BookChange]) -> None:
    """Write what changes for calls of now, and how many rows of which dates that takes."""
    now = utc_now()
    net = net_changes(before, after, now)
    say("  In effect now:" if net else "  Nothing changes for calls of now")
    say_book_changes(net)
    later = sum(change.effective_from is not None and change.effective_from > now for change in changes)
    rows = "1 row changes" if len(changes) == 1 else f"{len(changes):,} rows change"
    say(f"  {rows}, of which {later:,} from a later date on" if later else f"  {rows}")
