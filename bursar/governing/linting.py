"""Where advice about a valid document comes from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.document.lint import lint_document
from engine.document.schema import GovernanceDocument
from engine.policy.lint.findings import Finding


def findings_of(document: GovernanceDocument, at: datetime) -> list[Finding]:
    """What is allowed and probably not meant, as of `at`."""
    return lint_document(document, at)


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "code": str(finding.code),
        "policy_id": finding.policy_id,
        "message": finding.message,
        "example": None if finding.example is None else str(finding.example),
    }
