"""Read a governance document from a file or a stored version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError
from engine.ids import ID_PATTERN, MODEL_PATTERN

LARGEST_FILE_BYTES = 5_000_000

_PATTERN_WORDS = {
    ID_PATTERN: "must be 1 to 128 letters, digits or _ . @ -",
    MODEL_PATTERN: "must be 1 to 128 letters, digits or _ . : / @ -",
}


def read_document(path: Path | str) -> GovernanceDocument:
    """Read and validate the YAML or JSON file at `path`.

    Raises `DocumentError` with one sentence that names the file, the field and what is wrong with it.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise DocumentError(f"{path}: larger than {LARGEST_FILE_BYTES // 1_000_000} MB; is this the right file?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DocumentError(f"{path}: is not UTF-8 text") from None
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DocumentError(f"{path}{line}: is not readable YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(f"{path}: is not readable YAML: {str(error).splitlines()[0]}") from None
    return parse_document(content, str(path))


def parse_document(content: Any, source: str) -> GovernanceDocument:
    """Validate already parsed content; `source` says where it came from in errors."""
    if not isinstance(content, dict):
        raise DocumentError(f"{source}: is not a governance document: it needs at least `organization:`")
    try:
        return GovernanceDocument.model_validate(content)
    except ValidationError as error:
        raise DocumentError(f"{source}: {_first_problem(error)}") from None


def document_content(document: GovernanceDocument) -> dict[str, Any]:
    """The document as JSON-ready content, in a form that is the same for the same meaning."""
    return document.model_dump(mode="json", exclude_unset=True)


def content_hash(document: GovernanceDocument) -> str:
    """SHA-256 of the document's meaning, in hexadecimal."""
    canonical = json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(str(step) for step in first["loc"]) or "document"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "is not a known key"
    elif first["type"] == "string_pattern_mismatch":
        message = _PATTERN_WORDS.get(first["ctx"]["pattern"], message)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {message[0].lower()}{message[1:]}{more}"


class _Loader(yaml.SafeLoader):
    """Refuses what a configuration file has no use for: aliases (which can blow up memory) and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not supported", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str | int) else id(key_node))
        return super().construct_mapping(node, deep=deep)
