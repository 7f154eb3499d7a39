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
from bursar.governing.ledger import chosen_organization, untouched_ledger
from bursar.governing.screen import say, when
from engine.errors import InvalidValue
from engine.ledger.audit_verify import AuditProof, verify_audit
from engine.ledger.database import Database
from engine.ledger.decision_check import Comparison, compare_decisions
from engine.ledger.organizations import organization_ids
from engine.ledger.signed_heads import ChainHead
from engine.ledger.verify import Proof, Watch, verify_events
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


@dataclass(frozen=True, slots=True)
class _Result:
    """What was found of one organization.

    `compared` is `None` when decisions were not to be looked at, `log` when only a part of the events was.
    """

    proof: Proof
    compared: Comparison | None
    log: AuditProof | None

    @property
    def exit_code(self) -> int:
        wrong = (
            self.proof.finding,
            None if self.log is None else self.log.finding,
            None if self.compared is None else self.compared.difference,
        )
        return 0 if wrong == (None, None, None) else 1


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
            return _say_forged(head, wrong, as_json=as_json)
        warning = None
        if asked.against is not None and known is None:
            warning = unchecked(asked.against, settings)
            say(f"warning: {warning}", "yellow", to_stderr=True)
        result = _verified(database, org_id, asked, head)
    if as_json:
        is_checked = None if head is None else known is not None
        print(json.dumps(_as_json(result, head, warning, is_checked), indent=2, ensure_ascii=False))
    else:
        _say(result, head)
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
        _say(result, None)
        worst = max(worst, result.exit_code)
    return worst


def _verified(database: Database, org_id: str, asked: Asked, head: ChainHead | None) -> _Result:
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
    if not asked.decisions or proof.finding is not None:
        return _Result(proof, None, log)
    with _progress(f"{org_id}: decisions") as watch:
        return _Result(proof, compare_decisions(database, org_id, watch), log)


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


def _say(result: _Result, head: ChainHead | None) -> None:
    proof, compared = result.proof, result.compared
    for month in proof.dropped:
        assert month.dropped_at is not None
        say(f"{month.partition}: events {month.first_seq} to {month.last_seq} were dropped on {when(month.dropped_at)}")
    log = result.log
    if log is not None and log.finding is not None:
        say(f"{proof.org_id}: WRONG: {log.finding.message}", "bold red")
    if proof.finding is not None:
        say(f"{proof.org_id}: WRONG: {proof.finding.message}", "bold red")
        return
    if proof.events == 0:
        say(f"{proof.org_id}: proved: there are no events", "green")
    else:
        say(
            f"{proof.org_id}: proved: {proof.events:,} events, {proof.first} to {proof.last}, are as they were written",
            "green",
        )
    if log is not None and log.finding is None and log.entries:
        entries = "audit entry is as it was" if log.entries == 1 else "audit entries are as they were"
        say(f"{proof.org_id}: proved: {log.entries:,} {entries} written", "green")
    if compared is not None and compared.difference is not None:
        wrong = compared.difference
        say(f"{proof.org_id}: WRONG: decision {wrong.decision_id}: {wrong.message}", "bold red")
    elif compared is not None:
        number = compared.decisions
        said = "decision says what its events" if number == 1 else "decisions say what their events"
        say(f"{proof.org_id}: {number:,} {said} say", "green")
        if compared.without_events:
            say(f"{compared.without_events:,} more are of dropped months: nothing can be said of them", "yellow")
    if head is None:
        say("Whether later events were cut off shows only against a head kept elsewhere: bursar audit head", "dim")
    else:
        say(f"The head of {when(head.at)} (event {head.seq}) is in this chain", "green")


def _say_forged(head: ChainHead, message: str, *, as_json: bool) -> int:
    if as_json:
        wrong = {"seq": head.seq, "problem": "signature", "message": message}
        print(json.dumps({"organization": head.org_id, "proved": False, "finding": wrong}, indent=2))
    else:
        say(f"{head.org_id}: WRONG: {message}", "bold red")
    return 1


def _as_json(
    result: _Result, head: ChainHead | None, warning: str | None, is_checked: bool | None
) -> dict[str, object]:
    proof, compared = result.proof, result.compared
    finding: dict[str, object] | None = None
    if proof.finding is not None:
        wrong = proof.finding
        finding = {"seq": wrong.seq, "problem": wrong.problem.value, "message": wrong.message}
    elif result.log is not None and result.log.finding is not None:
        entry = result.log.finding
        finding = {"entry": entry.entry, "problem": "audit", "message": entry.message}
    elif compared is not None and compared.difference is not None:
        decision = compared.difference
        finding = {"decision_id": decision.decision_id, "problem": "decision", "message": decision.message}
    return {
        "organization": proof.org_id,
        "proved": finding is None,
        "from": proof.first,
        "to": proof.last,
        "events": proof.events,
        "decisions": None if compared is None else compared.decisions,
        "decisions_without_events": None if compared is None else compared.without_events,
        "audit_entries": None if result.log is None else result.log.entries,
        "finding": finding,
        "dropped": [
            {"month": month.partition, "first": month.first_seq, "last": month.last_seq} for month in proof.dropped
        ],
        "head": None if head is None else head.seq,
        "signature_checked": is_checked,
        "warning": warning,
    }


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
