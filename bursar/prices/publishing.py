"""A change of the price book becomes a new version: shown, agreed to, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bursar.governing.applying import DONE, not_agreed
from bursar.governing.drift import MOVED
from bursar.governing.screen import is_interactive, say, when
from bursar.prices.changes import say_book_changes, say_net_changes
from engine.errors import InvalidValue
from engine.ledger.database import Database
from engine.ledger.price_books import SHIPPED, BookAction, BookMoved, StoredBook, book_history, publish_change
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import diff_books, far_changes
from engine.settings import Settings

FAR = "a price becomes 0 or changes more than tenfold"


@dataclass(frozen=True)
class Proposal:
    """What is to price calls, in place of which version, and who wants it and why."""

    org_id: str
    base: StoredBook
    book: PriceBook
    action: BookAction
    author: str
    reason: str
    remarks: Sequence[str] = ()
    """What the reader should know, change or not."""
    notes: Sequence[str] = ()
    """What the reader should know of the change before agreeing."""
    details: Mapping[str, Any] = field(default_factory=dict)


def make_live(
    database: Database,
    settings: Settings,
    proposal: Proposal,
    *,
    yes: bool,
    every: bool = True,
    dry_run: bool = False,
) -> int:
    """Show the change, ask on a terminal, publish. Returns the exit code.

    1. Nothing changes: no version is made.
    2. A price set by hand that is hard to believe needs a person who is asked, or a yes.
    3. Publish by compare-and-set on the version that was looked at: whoever was first wins, the other is told.
    """
    org_id, base = proposal.org_id, proposal.base.version
    changes = diff_books(proposal.base.book, proposal.book)
    live = "the price book that Bursar ships" if base == SHIPPED else f"version {base} of the price book"
    if not changes:
        say(f"{org_id}: no change; {live} says the same")
        say_remarks(proposal.remarks)
        return DONE
    far = list(far_changes(changes)) if proposal.action == "set" else []
    if far and not yes and not dry_run and not is_interactive():
        raise InvalidValue("--yes", f"is needed where nobody can be asked, for {FAR}: {', '.join(far)}")
    say(f"{org_id}: version {base + 1} of the price book {'would' if dry_run else 'will'} be made from {live}:", "bold")
    if proposal.action == "rollback":
        say_net_changes(proposal.base.book, proposal.book, changes)
        say(f"  `bursar prices diff {base} {proposal.details['content_of']}` shows every row")
    else:
        say_book_changes(changes, every=every)
    say_remarks([*proposal.remarks, *proposal.notes])
    if dry_run:
        return DONE
    if not yes and is_interactive():
        warning = f"Here {FAR}. " if far else ""
        declined = not_agreed(f"{warning}Make version {base + 1} of the price book live?")
        if declined is not None:
            return declined
    try:
        with database.write() as connection:
            made = publish_change(
                connection,
                org_id,
                proposal.base,
                proposal.book,
                action=proposal.action,
                author=proposal.author,
                reason=proposal.reason,
                details=proposal.details,
            )
    except BookMoved as moved:
        return _say_moved(database, moved)
    say(f"Version {made.version} of the price book of {org_id} is made.", "green")
    say(f"Running services take it up within {settings.cache_ttl_seconds} s.")
    return DONE


def say_remarks(remarks: Sequence[str]) -> None:
    """Write what the reader should know."""
    for remark in remarks:
        say(f"  ! {remark}", "yellow")


def _say_moved(database: Database, moved: BookMoved) -> int:
    with database.read() as connection:
        newest = book_history(connection, moved.org_id, most=1)
    who = f": {newest[0].author} made it on {when(newest[0].created_at)}, reason: {newest[0].reason}" if newest else ""
    say(
        f"bursar: version {moved.live} of the price book of {moved.org_id!r} is live, not {moved.base}{who}; "
        f"look at `bursar prices diff {moved.base} {moved.live}` and try again",
        to_stderr=True,
    )
    return MOVED
