"""The policies of a document with what came of them: rows of the table. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboard.filters import Filters
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.policy_denials import PolicyEffect
from engine.policy.lint.findings import Finding


def policy_rows(
    document: GovernanceDocument | None, effects: Sequence[PolicyEffect], findings: Iterable[Finding]
) -> list[dict[str, Any]]:
    """Policies that denied most first; those of the document that never applied too, and those it no longer has."""
    said = defaultdict(list)
    for finding in findings:
        if finding.policy_id is not None:
            said[finding.policy_id].append(finding.message)
    specs = {} if document is None else {spec.policy_id: spec for spec in document.policies}
    seen: dict[str, list[PolicyEffect]] = defaultdict(list)
    for effect in effects:
        seen[effect.policy_id].append(effect)
    rows = []
    for policy_id in [*specs, *(each for each in seen if each not in specs)]:
        spec, applied = specs.get(policy_id), seen[policy_id]
        real, shadow = [e for e in applied if not e.shadow], [e for e in applied if e.shadow]
        rows.append(
            {
                "Policy": policy_id,
                "Effect": str(applied[0].effect if spec is None else spec.effect),
                "State": _state(spec),
                "Priority": None if spec is None else spec.priority,
                "Denied": sum(e.decisions for e in real if e.effect == "deny"),
                "Allowed": sum(e.decisions for e in real if e.effect == "allow"),
                "In shadow": _in_shadow(shadow),
                "First seen": _seen(min((e.first_seen for e in applied), default=None)),
                "Last seen": _seen(max((e.last_seen for e in applied), default=None)),
                "Lint": " ".join(said[policy_id]) or "–",
            }
        )
    return sorted(rows, key=lambda row: (-row["Denied"], row["Priority"] is None, row["Priority"] or 0, row["Policy"]))


def link_of(row: Mapping[str, Any], filters: Filters, start: datetime) -> dict[str, str]:
    """Where the Decisions page shows the calls that a row counts: those it denied, else all that it applied to."""
    parts = {"team": filters.team_id, "provider": filters.provider, "agent": filters.agent_id}
    denied = {"outcome": "denied"} if row["Denied"] else {}
    return {
        "policy": str(row["Policy"]), "from": start.isoformat(), **denied,
        **{name: value for name, value in parts.items() if value},
    }  # fmt: skip


def _state(spec: Any) -> str:
    if spec is None:
        return "no longer in the document"
    if not spec.enabled:
        return "disabled"
    return "in shadow" if spec.shadow else "enforced"


def _in_shadow(effects: Sequence[PolicyEffect]) -> str:
    words = {"deny": "would deny", "allow": "would allow"}
    return ", ".join(f"{words.get(e.effect, e.effect)} {e.decisions:,}" for e in effects) or "–"


def _seen(instant: datetime | None) -> str:
    return "never here" if instant is None else f"{instant:%d %b %H:00}"
