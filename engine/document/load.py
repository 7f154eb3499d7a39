"""Read a governance document from a file or a stored version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.document.problems import Problem, find_problems, one_line, refusal, shown
from engine.document.schema import GovernanceDocument
from engine.document.shipped_rules import meaning_of
from engine.document.text import content_of, text_of
from engine.document.tree import Lines
from engine.errors import DocumentError

BASED_ON = "based_on"


@dataclass(frozen=True)
class DocumentSource:
    """A document as it was written, comments and all.

    `based_on` is the version that the text was made from, if it says so. It is not part of the document.
    """

    path: Path
    text: str
    document: GovernanceDocument
    based_on: int | None = None


def read_document(path: Path | str) -> GovernanceDocument:
    """Read and validate the YAML or JSON file at `path`.

    Raises `DocumentError` with one sentence that names the file, the line, the field and what is wrong with it.
    """
    return read_source(path).document


def read_source(path: Path | str) -> DocumentSource:
    """Like `read_document`, with the text and the version it says it was made from."""
    path = Path(path)
    return parse_text(text_of(path), path)


def parse_text(text: str, path: Path | str) -> DocumentSource:
    """Read and validate a text that is, or is meant to be, at `path`."""
    path = Path(path)
    text = text.removeprefix("\ufeff")
    content, lines = content_of(text, path)
    if not isinstance(content, dict):
        raise _no_document(str(path))
    problems = _based_on_problems(content, lines)
    based_on = content.pop(BASED_ON, None)
    return DocumentSource(path, text, _validated(content, str(path), lines, problems), based_on)


def parse_document(content: Any, source: str) -> GovernanceDocument:
    """Validate already parsed content; `source` says where it came from in errors."""
    if not isinstance(content, dict):
        raise _no_document(source)
    return _validated(content, source, None, [])


def document_content(document: GovernanceDocument) -> dict[str, Any]:
    """The document as JSON-ready content, in a form that is the same for the same meaning."""
    return document.model_dump(mode="json", exclude_unset=True)


def content_hash(document: GovernanceDocument) -> str:
    """SHA-256 of the document's meaning, in hexadecimal."""
    # Without what is as usual: a key that a later Bursar adds changes no hash.
    meaning = document.model_dump(mode="json", exclude_defaults=True)
    if document.alerts.rules:
        meaning["alerts"]["rules"] = [meaning_of(entry) for entry in document.alerts.rules]
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _validated(content: Any, source: str, lines: Lines | None, found: list[Problem]) -> GovernanceDocument:
    try:
        document = GovernanceDocument.model_validate(content)
    except ValidationError as error:
        found = sorted([*found, *find_problems(error, content, lines)], key=lambda problem: problem.line or 0)
    else:
        if not found:
            return document
    raise refusal(source, found)


def _based_on_problems(content: dict[str, Any], lines: Lines) -> list[Problem]:
    based_on = content.get(BASED_ON, 1)
    if isinstance(based_on, int) and not isinstance(based_on, bool) and based_on >= 1:
        return []
    message = f"must be the number of a version, a whole number of at least 1, got {shown(based_on)}"
    return [Problem((BASED_ON,), message, lines.of((BASED_ON,)))]


def _no_document(source: str) -> DocumentError:
    return DocumentError(f"{one_line(source)}: is not a governance document: it needs at least `organization:`")
