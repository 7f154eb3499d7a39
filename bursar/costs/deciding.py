"""`bursar costs promote`, `bursar costs reject` and `bursar costs rollback`: a person decides, and says why."""

from __future__ import annotations

from bursar.costs.calibrating import say_challenger
from bursar.governing.applying import DONE, not_agreed
from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import is_interactive, say
from bursar.prices.publishing import Proposal, make_live
from engine.errors import BursarError
from engine.ledger.calibrations import promote, reject, stored_calibration
from engine.ledger.price_books import SHIPPED, live_book, stored_book
from engine.settings import read_settings


def run_promote(number: int | None, *, reason: str, author: str | None, org: str | None, yes: bool) -> int:
    """Make a calibration part of the price book. Returns the exit code."""
    settings = read_settings()
    author, reason = author_or_user(author), checked_reason(reason)
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            chosen = stored_calibration(connection, org_id, number)
        if not yes and is_interactive() and chosen.challenger.verdict.passed and chosen.state == "proposed":
            say_challenger(org_id, chosen.challenger, chosen.window, chosen.champion)
            declined = not_agreed(f"Promote calibration {chosen.number}?")
            if declined is not None:
                return declined
        with database.write() as connection:
            made = promote(connection, org_id, chosen.number, author=author, reason=reason)
    say(f"Calibration {chosen.number} is promoted: version {made.version} of the price book of {org_id}.", "green")
    say(f"Running services take it up within {settings.cache_ttl_seconds} s.")
    return DONE


def run_reject(number: int | None, *, reason: str, author: str | None, org: str | None) -> None:
    """Say no to a calibration."""
    author, reason = author_or_user(author), checked_reason(reason)
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.write() as connection:
            rejected = reject(connection, org_id, number, author=author, reason=reason)
    say(f"Calibration {rejected.number} of {org_id} is rejected.")


def run_rollback(version: int | None, *, reason: str, author: str | None, org: str | None, yes: bool) -> int:
    """Make a new version with the content of an old one. Returns the exit code."""
    settings = read_settings()
    author, reason = author_or_user(author), checked_reason(reason)
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            live = live_book(connection, org_id)
            if version is None:
                if live.version == SHIPPED:
                    raise BursarError(f"{org_id} uses the price book that Bursar ships: there is none before it")
                version = live.version - 1
            wanted = stored_book(connection, org_id, version)
        proposal = Proposal(org_id, live, wanted.book, "rollback", author, reason, details={"content_of": version})
        return make_live(database, settings, proposal, yes=yes)
