"""`bursar audit verify`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bursar.audit.heads import known_key, read_head, unchecked, wrong_signature
from bursar.audit.result import Result, as_json_of, say_forged, say_result
from bursar.governing.ledger import chosen_organization, untouched_ledger
from bursar.governing.screen import say
from engine.document.version_check import compare_versions
from engine.errors import InvalidValue
from engine.ledger.audit_verify import verify_audit
from engine.ledger.database import Database
from engine.ledger.decision_check import compare_decisions
from engine.ledger.organizations import organization_ids
from engine.ledger.signed_heads import ChainHead
from engine.ledger.verify import Watch, verify_events
from engine.settings import read_settings

_DAY = timedelta(days=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command, as they were given."""

    org: str | None = None
    first: str | None = None
    last: str | None = None
    against: Path | None = None
    key: Path | None = None
    decisions: bool = False


def run_verify(asked: Asked, *, as_json: bool) -> int:
    """Verify, say the result, and return the exit code."""
    settings = read_settings()
    if asked.key is not None and asked.against is None:
        raise InvalidValue("--key", "is for the head of --against FILE; name that too")
    head = None if asked.against is None else read_head(asked.against)
    known = None if head is None else known_key(asked.key, settings)
    with untouched_ledger(settings) as database:
        if (asked.org, asked.first, asked.last, head) == (None, None, None, None) and not as_json:
            return _verify_all(database, asked)
        org_id = chosen_organization(database, asked.org or (head.org_id if head else None))
        if head is not None and head.org_id != org_id:
            raise InvalidValue("--against", f"this head is of {head.org_id}, not of {org_id}")
        if head is not None and (wrong := wrong_signature(head, known, named=asked.key is not None)) is not None:
            return say_forged(head, wrong, as_json=as_json)
        warning = None
        if asked.against is not None and known is None:
            warning = unchecked(asked.against, settings)
            say(f"warning: {warning}", "yellow", to_stderr=True)
        result = _verified(database, org_id, asked, head)
    if as_json:
        is_checked = None if head is None else known is not None
        print(json.dumps(as_json_of(result, head, warning, is_checked), indent=2, ensure_ascii=False))
    else:
        say_result(result, head)
    return result.exit_code


def _verify_all(database: Database, asked: Asked) -> int:
    with database.read() as connection:
        known = organization_ids(connection)
    if not known:
        # Says what to do about it.
        chosen_organization(database, None)
    worst = 0
    for org_id in known:
        result = _verified(database, org_id, asked, None)
        say_result(result, None)
        worst = max(worst, result.exit_code)
    return worst


def _verified(database: Database, org_id: str, asked: Asked, head: ChainHead | None) -> Result:
    begin, end = _bound(asked.first, "--from", timedelta(0)), _bound(asked.last, "--to", _DAY)
    try:
        with _progress(f"{org_id}: events") as watch:
            proof = verify_events(database, org_id, first=begin, last=end, head=head, watch=watch)
    except InvalidValue as error:
        if error.field == "--from" and isinstance(begin, int) and (day := _day_meant(asked.first)) is not None:
            raise InvalidValue(error.field, f"{error.problem}. For the day write {day}") from None
        raise
    if isinstance(end, int) and end > proof.last and proof.finding is None:
        day = _day_meant(asked.last)
        hint = "" if day is None else f". For the day write {day}"
        raise InvalidValue("--to", f"there is no event {end}; the last event is {proof.last}{hint}")
    kept = None if head is None else head.audit
    log = verify_audit(database, org_id, kept=kept) if (asked.first, asked.last) == (None, None) else None
    versions = None
    if log is not None and log.finding is None:
        with database.snapshot() as connection:
            versions = compare_versions(connection, org_id)
    if not asked.decisions or proof.finding is not None:
        return Result(proof, None, log, versions)
    with _progress(f"{org_id}: decisions") as watch:
        return Result(proof, compare_decisions(database, org_id, watch), log, versions)


def _bound(text: str | None, option: str, day: timedelta) -> int | datetime | None:
    """A number, the beginning of a UTC day plus `day`, or an instant; one beyond all years is their end."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,100}", text):
        return int(text)
    try:
        begin = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return begin + day if begin < _LAST - day else _LAST
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.utcoffset() is None:
        raise InvalidValue(
            option, f"must be a number, a date such as 2026-11-25 or a time with an offset, got {text!r}"
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return _LAST if instant.year > 5000 else _FIRST


def _day_meant(text: str | None) -> date | None:
    """The day of `20261101`, which is taken for an event number."""
    if text is None or len(text) != 8:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@contextlib.contextmanager
def _progress(task_name: str) -> Iterator[Watch | None]:
    """A bar on a terminal, on standard error; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(task_name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
