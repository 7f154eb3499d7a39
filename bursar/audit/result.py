"""What `bursar audit verify` has found of one organization, and how it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bursar.governing.screen import say, when
from engine.document.version_check import VersionsCompared
from engine.ledger.audit_verify import AuditProof
from engine.ledger.decision_check import Comparison
from engine.ledger.signed_heads import ChainHead
from engine.ledger.verify import Proof


@dataclass(frozen=True, slots=True)
class Result:
    """What was found of one organization.

    `compared` is `None` when decisions were not to be looked at, `log` when only a part of the events was, `versions`
    when the log is not proved: what it says of them means nothing then.
    """

    proof: Proof
    compared: Comparison | None
    log: AuditProof | None
    versions: VersionsCompared | None

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, else 1."""
        return 0 if self.finding() is None else 1

    def finding(self) -> dict[str, object] | None:
        """What is wrong first, as programs are told."""
        if (wrong := self.proof.finding) is not None:
            return {"seq": wrong.seq, "problem": wrong.problem.value, "message": wrong.message}
        if self.log is not None and (entry := self.log.finding) is not None:
            return {"entry": entry.entry, "problem": "audit", "message": entry.message}
        if self.versions is not None and self.versions.finding is not None:
            return {"problem": "version", "message": self.versions.finding}
        if self.compared is not None and (decision := self.compared.difference) is not None:
            return {"decision_id": decision.decision_id, "problem": "decision", "message": decision.message}
        return None


def say_result(result: Result, head: ChainHead | None) -> None:
    """For people."""
    proof = result.proof
    for month in proof.dropped:
        assert month.dropped_at is not None
        say(f"{month.partition}: events {month.first_seq} to {month.last_seq} were dropped on {when(month.dropped_at)}")
    if result.log is not None and result.log.finding is not None:
        _say_wrong(proof.org_id, result.log.finding.message)
    if result.versions is not None and result.versions.finding is not None:
        _say_wrong(proof.org_id, result.versions.finding)
    if proof.finding is not None:
        _say_wrong(proof.org_id, proof.finding.message)
        return
    if proof.events == 0:
        _say_proved(proof.org_id, "proved: there are no events")
    else:
        _say_proved(
            proof.org_id, f"proved: {proof.events:,} events, {proof.first} to {proof.last}, are as they were written"
        )
    _say_log(result)
    _say_decisions(result)
    if head is None:
        say("Whether later events were cut off shows only against a head kept elsewhere: bursar audit head", "dim")
    else:
        say(f"The head of {when(head.at)} (event {head.seq}) is in this chain", "green")


def _say_log(result: Result) -> None:
    org_id, log, versions = result.proof.org_id, result.log, result.versions
    if log is not None and log.finding is None and log.entries:
        entries = "audit entry is as it was" if log.entries == 1 else "audit entries are as they were"
        _say_proved(org_id, f"proved: {log.entries:,} {entries} written")
    if versions is not None and versions.finding is None and versions.versions:
        number = versions.versions
        said = "version is what its audit entry says" if number == 1 else "versions are what their audit entries say"
        _say_proved(org_id, f"{number:,} document and price book {said}")


def _say_decisions(result: Result) -> None:
    org_id, compared = result.proof.org_id, result.compared
    if compared is None:
        return
    if (wrong := compared.difference) is not None:
        _say_wrong(org_id, f"decision {wrong.decision_id}: {wrong.message}")
        return
    number = compared.decisions
    said = "decision says what its events" if number == 1 else "decisions say what their events"
    _say_proved(org_id, f"{number:,} {said} say")
    if compared.without_events:
        say(f"{compared.without_events:,} more are of dropped months: nothing can be said of them", "yellow")


def _say_proved(org_id: str, message: str) -> None:
    say(f"{org_id}: {message}", "green")


def _say_wrong(org_id: str, message: str) -> None:
    say(f"{org_id}: WRONG: {message}", "bold red")


def say_forged(head: ChainHead, message: str, *, as_json: bool) -> int:
    """A head whose signature is not the known key's; returns the exit code."""
    if as_json:
        wrong = {"seq": head.seq, "problem": "signature", "message": message}
        print(json.dumps({"organization": head.org_id, "proved": False, "finding": wrong}, indent=2))
    else:
        _say_wrong(head.org_id, message)
    return 1


def as_json_of(
    result: Result, head: ChainHead | None, warning: str | None, is_checked: bool | None
) -> dict[str, object]:
    """For programs."""
    proof, compared, finding = result.proof, result.compared, result.finding()
    return {
        "organization": proof.org_id,
        "proved": finding is None,
        "from": proof.first,
        "to": proof.last,
        "events": proof.events,
        "decisions": None if compared is None else compared.decisions,
        "decisions_without_events": None if compared is None else compared.without_events,
        "audit_entries": None if result.log is None else result.log.entries,
        "versions": None if result.versions is None else result.versions.versions,
        "finding": finding,
        "dropped": [
            {"month": month.partition, "first": month.first_seq, "last": month.last_seq} for month in proof.dropped
        ],
        "head": None if head is None else head.seq,
        "signature_checked": is_checked,
        "warning": warning,
    }
