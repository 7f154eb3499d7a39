"""A stored version as a file to edit: the text as it was applied, saying which version it is based on."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Literal

import yaml

from engine.document.json_text import begins_as_json
from engine.document.load import BASED_ON, DocumentSource, parse_text
from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError

Format = Literal["yaml", "json"]

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_JSON_NUMBER = re.compile(r"\s*:\s*(\d+)")


def export_text(document: GovernanceDocument, version: int, applied: str | None, wanted: Format | None = None) -> str:
    """The file for one version. The text as `applied`, comments and all, unless another format is `wanted`."""
    if applied is not None and wanted in (None, "json" if begins_as_json(applied) else "yaml"):
        return with_based_on(applied, version)
    content = {BASED_ON: version, **_for_people(document.model_dump(exclude_unset=True))}
    if wanted == "json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def with_based_on(text: str, version: int) -> str:
    """The same text based on `version`: just that number replaced where it stands, or a first line that says it.

    In braces, and behind a line such as `---`, it is added at the first place where it can stand.

    Raises `DocumentError` when the text is so unusual that this cannot be done.
    """
    before = parse_text(text, "the document")
    # Marks count characters, a byte order mark among them.
    mark, text = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    place = _json_place if begins_as_json(text) else _yaml_place
    start, end, found = place(text, before.based_on is not None)
    changed = text[:start] + found.replace("N", str(version)) + text[end:]
    if not _says(changed, before, version):
        raise DocumentError(f"{BASED_ON} cannot be set in this text: write `{BASED_ON}: {version}` into it yourself")
    return mark + changed


def _says(text: str, before: DocumentSource, version: int) -> bool:
    try:
        after = parse_text(text, before.path)
    except DocumentError:
        return False
    return after.based_on == version and after.document == before.document


def _yaml_place(text: str, present: bool) -> tuple[int, int, str]:
    """From where to where to replace, and by what."""
    depth = nodes = 0
    wanted = False
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            continue
        if depth == 1:
            # Of the outermost mapping keys and values take turns.
            is_key = nodes % 2 == 0
            nodes += 1
            if is_key and not present:
                return _yaml_front(text, _index(event.start_mark))
            if wanted:
                return _index(event.start_mark), _index(event.end_mark), "N"
            wanted = is_key and isinstance(event, yaml.ScalarEvent) and event.value == BASED_ON
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
    return 0, 0, ""


def _index(mark: Any) -> int:
    return int(mark.index)


def _yaml_front(text: str, at: int) -> tuple[int, int, str]:
    line_start = text.rfind("\n", 0, at) + 1
    indent = text[line_start:at]
    if indent.strip(" "):
        # The mapping is in braces, or begins behind `---`.
        return at, at, f"{BASED_ON}: N, "
    newline = "\r\n" if "\r\n" in text else "\n"
    if all(not line.strip() or line.lstrip().startswith("#") for line in text[:line_start].splitlines()):
        return 0, 0, f"{indent}{BASED_ON}: N{newline}"
    return at, at, f"{BASED_ON}: N{newline}{indent}"


def _json_place(text: str, present: bool) -> tuple[int, int, str]:
    depth = 0
    for token in _JSON_TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if not present:
                return token.end(), token.end(), f'"{BASED_ON}": N, '
        elif token[0] in "]}":
            depth -= 1
        elif depth == 1 and token[0] == f'"{BASED_ON}"':
            number = _JSON_NUMBER.match(text, token.end())
            if number is not None:
                return number.start(1), number.end(1), "N"
    return 0, 0, ""


def _for_people(value: Any) -> Any:
    """Ids first; amounts as numbers where a reader gets back exactly the same, else as text."""
    match value:
        case Decimal():
            if value == int(value):
                return int(value)
            return float(value) if Decimal(str(float(value))) == value else format(value, "f")
        case dict():
            names = sorted(value, key=lambda name: name not in ("id", "policy_id", "per"))
            return {name: _for_people(value[name]) for name in names}
        case list() | tuple():
            return [_for_people(part) for part in value]
        case _:
            return value
