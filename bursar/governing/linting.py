"""Where advice about a valid document comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.document.lint import lint_document
from engine.document.live import LiveDocument
from engine.document.policy_cases import RequestSpec
from engine.document.schema import GovernanceDocument
from engine.policy.lint.findings import Example, Finding
from engine.pricing.shipped import SHIPPED_BOOK


def findings_of(document: GovernanceDocument, at: datetime, live: LiveDocument | None = None) -> list[Finding]:
    """What is allowed and probably not meant, as of the hour of `at`, by the price book of what is `live`."""
    # An example names its instant: two looks within an hour should read the same.
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return lint_document(document, hour, SHIPPED_BOOK if live is None else live.book)


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "code": str(finding.code),
        "policy_id": finding.policy_id,
        "message": finding.message,
        "example": None if finding.example is None else _example_json(finding.example),
    }


def _example_json(example: Example) -> dict[str, Any]:
    """A call as `bursar policies test` takes it."""
    facts = {name: getattr(example.request, name) for name in RequestSpec.model_fields}
    if facts["tags"] is not None:
        facts["tags"] = sorted(facts["tags"])
    return {"request": {name: fact for name, fact in facts.items() if fact is not None}, "at": example.at.isoformat()}
