"""`bursar apply` and `bursar rollback`: one reviewed change becomes a new version, and is in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.drift import say_drift
from bursar.governing.files import is_read_only, read_listing, rewrite
from bursar.governing.ledger import (
    chosen_organization,
    existing_ledger,
    live_or_none,
    made_ledger,
    named,
    needed_ledger,
    other_organizations,
)
from bursar.governing.linting import findings_of
from bursar.governing.planning import plan_against, say_findings, say_plan
from bursar.governing.screen import confirmed, is_interactive, say
from engine.clock import utc_now
from engine.document.export import with_based_on
from engine.document.load import DocumentSource
from engine.document.schema import GovernanceDocument
from engine.document.store import DocumentMoved, document_version, publish, source_text, version_history
from engine.errors import BursarError, DocumentError, InvalidValue
from engine.in_force import install, running_gate
from engine.settings import Settings, read_settings

DONE, DECLINED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class NewVersion:
    """What is to become live, and from where."""

    document: GovernanceDocument
    text: str | None
    author: str
    reason: str
    what: str
    """Names the change for people, as in "bring ... into it"."""


def run_apply(file: Path, *, reason: str, author: str | None, base: int | None, yes: bool) -> int:
    """Apply a file. Returns the exit code."""
    if base is not None and base < 0:
        raise InvalidValue("--base", f"must be the number of a version, or 0 for none, got {base}")
    source = read_listing(file)
    new = NewVersion(source.document, source.text, author_or_user(author), checked_reason(reason), str(file))
    given = source.based_on if base is None else base

    def missing(live: int) -> BursarError:
        return DocumentError(
            f"{file} does not say which version it is based on: add `based_on: {live}` to it, or give --base {live}"
        )

    return _make_live(read_settings(), new, given, missing, yes=yes, written=source)


def run_rollback(version: int, *, reason: str, author: str | None, org: str | None, yes: bool) -> int:
    """Make a new version with the content of an old one. Returns the exit code."""
    author, reason = author_or_user(author), checked_reason(reason)
    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            old = document_version(connection, org_id, version)
            text = source_text(connection, org_id, version)
    new = NewVersion(old.document, text, author, reason, f"version {version}")

    def missing(live: int) -> BursarError:
        return BursarError(f"nobody can be asked here whether to replace version {live}: give --yes")

    return _make_live(settings, new, None, missing, yes=yes, planned_is_base=yes)


def not_agreed(question: str) -> int | None:
    """Ask before a change; `None` when the person agrees, else the exit code, having said that nothing was changed."""
    try:
        if confirmed(question):
            return None
        code = DECLINED
    except KeyboardInterrupt:
        code = INTERRUPTED
    say("Nothing was changed.")
    return code


def _make_live(
    settings: Settings,
    new: NewVersion,
    base: int | None,
    missing: Callable[[int], BursarError],
    *,
    yes: bool,
    written: DocumentSource | None = None,
    planned_is_base: bool = False,
) -> int:
    """Show the plan, ask, publish, put in force.

    1. Plan against what is live. Nothing to change: done.
    2. Without a base, the version planned against is it, if there is a person who sees the plan. A first version needs
       neither, unless the ledger has other organizations: then this one may be a typing error.
    3. Publish by compare-and-set on the base: whoever was first wins, the other is told.
    4. Install the version in Redis, and say whether it is in force.
    """
    org_id = new.document.organization
    now = utc_now()
    with existing_ledger(settings) as database:
        live = live_or_none(database, org_id)
        plan = plan_against(database, live, new.document, now)
        others = other_organizations(database, org_id) if live is None and base is None else []
        if plan.changes_nothing:
            say(f"{org_id}: no change; version {plan.base} is live and means the same")
            return DONE
        if base is not None and base != plan.base:
            return _refuse(settings, org_id, base, new.what)
    if base is None:
        if plan.base and not planned_is_base and not is_interactive():
            raise missing(plan.base)
        if others and (yes or not is_interactive()):
            raise DocumentError(
                f"{org_id!r} has no version yet and this ledger already has {named(others)}: correct `organization` in "
                f"{new.what}, or give --base 0 to make another organization"
            )
        base = plan.base
    say_plan(plan)
    say_findings(findings_of(new.document, now, live))
    if not yes and is_interactive():
        beside = f" of another organization, {org_id!r} beside {named(others)}" if others else ""
        declined = not_agreed(f"Make version {plan.version}{beside} live?")
        if declined is not None:
            return declined
    with running_gate(settings) as gate, made_ledger(settings) as ledger:
        try:
            made = publish(ledger, new.document, base=base, author=new.author, reason=new.reason, source_text=new.text)
        except DocumentMoved as moved:
            return say_drift(ledger, moved, new.what)
        say(f"Version {made.version} of the governance document of {org_id} is made.", "green")
        if written is not None and written.based_on is not None:
            _rewrite_base(written, made.version)
        if gate is not None:
            say("Putting it in force ...", to_stderr=True)
        try:
            say(install(ledger, gate, org_id, made.version, settings))
        except KeyboardInterrupt:
            say(f"Interrupted: services take version {made.version} up within {settings.cache_ttl_seconds} s.")
            raise
    return DONE


def _refuse(settings: Settings, org_id: str, base: int, what: str) -> int:
    with existing_ledger(settings) as database:
        if database is None:
            raise DocumentMoved(org_id, base, None)
        with database.read() as connection:
            newest = version_history(connection, org_id, most=1)
        return say_drift(database, DocumentMoved(org_id, base, newest[0] if newest else None), what)


def _rewrite_base(written: DocumentSource, version: int) -> None:
    if is_read_only(written.path):
        say(f"{written.path} is read-only: set based_on: {version} there yourself", to_stderr=True)
        return
    try:
        rewrite(written.path, written.text, with_based_on(written.text, version))
    except BursarError as problem:
        # The version is made; the next apply of this file would only be refused without need.
        say(f"bursar: {problem}; set `based_on: {version}` there yourself", to_stderr=True)
