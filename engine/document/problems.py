"""Say what is wrong with a document's content, for the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.document.json_schema import known_keys
from engine.document.presets import POLICY_PRESETS
from engine.document.tree import Lines
from engine.errors import DocumentError
from engine.ids import ID_PATTERN, MODEL_PATTERN

LONGEST_PROBLEM = 260
LONGEST_LIST = 210
MOST_PROBLEMS = 1_000
"""A file of another kind can be wrong in every line; nobody reads so many."""

_PATTERN_WORDS = {
    ID_PATTERN: "must be 1 to 128 letters, digits or _ . @ -",
    MODEL_PATTERN: "must be 1 to 128 letters, digits or _ . : / @ -",
}
_REPEATED = "is used more than once"
_IDS = ((("budgets",), "id"), (("rate_limits",), "id"), (("policies",), "policy_id"), (("alerts", "rules"), "id"))
_NAMED = ("alerts", "rules")
"""A list whose entries are many and alike: a problem of one says its id too."""

_A_NUMBER = "must be a number"
_A_WHOLE_NUMBER = "must be a whole number"
_TRUE_OR_FALSE = "must be true or false"
_A_MAPPING = "must be a mapping of keys and values"
_A_LIST = "must be a list, such as [one, two]"
_A_TIME = "must be a time such as '2026-12-25T00:00:00Z'"

# By pydantic's name for the mistake, with what it knows about the limit.
_WORDS: Mapping[str, str] = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "decimal_type": _A_NUMBER,
    "decimal_parsing": _A_NUMBER,
    "float_type": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} digits after the point",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the point",
    "int_type": _A_WHOLE_NUMBER,
    "int_parsing": _A_WHOLE_NUMBER,
    "int_parsing_size": _A_WHOLE_NUMBER,
    "int_from_float": _A_WHOLE_NUMBER,
    "bool_type": _TRUE_OR_FALSE,
    "bool_parsing": _TRUE_OR_FALSE,
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "dict_type": _A_MAPPING,
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "list_type": _A_LIST,
    "tuple_type": _A_LIST,
    "set_type": _A_LIST,
    "frozen_set_type": _A_LIST,
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_unicode": "must be text without halves of characters",
    "datetime_type": _A_TIME,
    "datetime_parsing": _A_TIME,
    "datetime_from_date_parsing": _A_TIME,
    "timezone_aware": "must name its offset, as in '2026-12-25T00:00:00Z'",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where. `line` is `None` when the content came from no text."""

    path: tuple[int | str, ...]
    message: str
    line: int | None = None
    whose: str = ""
    """The id of the entry that it is in, where a number alone would be hard to find."""

    @property
    def without_line(self) -> str:
        """The sentence without its place in the text."""
        whose = f" (rule {one_line(self.whose)})" if self.whose else ""
        return f"{_dotted(self.path)}{whose}: {self.message}"

    def __str__(self) -> str:
        return self.without_line if self.line is None else f"line {self.line}: {self.without_line}"


def refusal(source: str, found: Sequence[Problem]) -> DocumentError:
    """The error for a text with these problems: the first as a sentence that names `source`, and how many more."""
    first = found[0]
    place = "" if first.line is None else f", line {first.line}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return DocumentError(
        f"{one_line(source)}{place}: {first.without_line}{more}", tuple(str(problem) for problem in found)
    )


def find_problems(
    error: ValidationError, content: Any, lines: Lines | None, schema: Mapping[str, Any] | None = None
) -> list[Problem]:
    """Every problem of `content`, in the order of the text. Without a `schema` it is a governance document."""
    found = list(_repeated_ids(content, lines))
    mistakes = error.errors(include_url=False)
    # What an unknown preset would have filled in is not missing.
    presets = {mistake["loc"][:-1] for mistake in mistakes if mistake["loc"][-1:] == ("preset",)}
    for mistake in mistakes[:MOST_PROBLEMS]:
        if mistake["type"] == "missing" and mistake["loc"][:-1] in presets:
            continue
        if found and mistake["loc"] in ((), ("alerts",)) and _REPEATED in mistake["msg"]:
            # Found above, with the place.
            continue
        path = tuple(step for step in mistake["loc"] if step != "[key]")
        message = _message(mistake, path, schema)
        about = _about(path, message, content)
        start, colon, rest = message.partition(": ")
        if colon and (start == ".".join(map(str, about[len(path) :])) or _is_missing(start, path, content)):
            path, message = (about if about != path else (*path, start)), rest
        whose = _whose(path, content)
        found.append(Problem(path, _cut(one_line(message)), lines.of(about) if lines else None, whose))
    found.sort(key=lambda problem: problem.line or 0)
    if len(mistakes) > MOST_PROBLEMS:
        found.append(Problem((), f"{len(mistakes) - MOST_PROBLEMS:,} more mistakes are not shown"))
    return found


def one_line(text: str) -> str:
    """`text` with everything escaped that would break the line or cannot be shown."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: Any) -> str:
    """`value` shortly, as the document writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _repeated_ids(content: Any, lines: Lines | None) -> Iterator[Problem]:
    for part, name in _IDS:
        entries = _part_of(content, part)
        first: dict[str, int] = {}
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            identifier = _identifier(entry, name)
            if not isinstance(identifier, str):
                continue
            if identifier not in first:
                first[identifier] = index
                continue
            path = (*part, index, name)
            before = lines.of((*part, first[identifier], name)) if lines else None
            message = f"{shown(identifier)} {_REPEATED}" + ("" if before is None else f", first on line {before}")
            yield Problem(path, message, lines.of(path) if lines else None)


def _part_of(content: Any, path: Sequence[int | str]) -> Any:
    for step in path:
        try:
            content = content[step]
        except (LookupError, TypeError):
            return None
    return content


def _whose(path: tuple[int | str, ...], content: Any) -> str:
    """The id of the entry that a problem is in, unless the problem is that id itself."""
    place = len(_NAMED)
    if path[:place] != _NAMED or len(path) == place or path[place + 1 :] == ("id",):
        return ""
    identifier = _identifier(_part_of(content, path[: place + 1]), "id")
    return identifier[:60] if isinstance(identifier, str) else ""


def _is_missing(field: str, path: tuple[int | str, ...], content: Any) -> bool:
    """Whether a sentence about a rule begins with a field that the rule does not have: that is where it belongs."""
    entry = _part_of(content, path)
    return path[: len(_NAMED)] == _NAMED and isinstance(entry, dict) and field.isidentifier() and field not in entry


def _identifier(entry: Any, name: str) -> Any:
    if not isinstance(entry, dict):
        return None
    preset = POLICY_PRESETS.get(str(entry.get("preset")), {}) if name == "policy_id" else {}
    return entry.get(name, preset.get(name))


def _message(mistake: Any, path: tuple[int | str, ...], schema: Mapping[str, Any] | None) -> str:
    kind, value = mistake["type"], mistake["input"]
    # Pydantic gives some limits as Python would write them.
    limits = {
        name: limit.removeprefix("Decimal('").removesuffix("')") if isinstance(limit, str) else limit
        for name, limit in mistake.get("ctx", {}).items()
    }
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return f"is not a known key{_suggested_key(path, schema)}"
    if kind in ("value_error", "assertion_error"):
        said = str(mistake["msg"]).partition(", ")[2]
        return said[:1].lower() + said[1:]
    who = "the key " if mistake["loc"][-1:] == ("[key]",) else ""
    if kind == "string_type":
        fix = "; put it in quotes" if isinstance(value, int | float) else ""
        return f"{who}must be text, got {shown(value)}{fix}"
    if kind == "string_pattern_mismatch" and limits["pattern"] in _PATTERN_WORDS:
        return f"{who}{_PATTERN_WORDS[limits['pattern']]}, got {shown(value)}"
    if kind in ("too_short", "too_long"):
        most, length = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        entries = "entry" if limits[length] == 1 else "entries"
        return f"must have {most} {limits[length]} {entries}, got {limits['actual_length']}"
    if kind in ("string_too_long", "string_too_short"):
        return f"{who}{_WORDS[kind].format(**limits)}, got {len(value)}"
    if kind in _WORDS:
        guess = _close(value, _quoted(limits["expected"])) if "expected" in limits else ""
        return f"{who}{_WORDS[kind].format(**limits)}, got {shown(value)}{guess}"
    said = str(mistake["msg"]).replace("Input should be", "must be")
    return f"{who}{said[:1].lower()}{said[1:]}, got {shown(value)}"


def _suggested_key(path: tuple[int | str, ...], schema: Mapping[str, Any] | None) -> str:
    known = known_keys(path[:-1], schema)
    guess = _close(path[-1], known)
    listed = ", ".join(known)
    # A long list would hide the key that is wrong.
    return guess or (f"; known here: {listed}" if known and len(listed) <= LONGEST_LIST else "")


def _close(word: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word[:128], known, n=1, cutoff=0.7) if isinstance(word, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def _quoted(expected: str) -> list[str]:
    return expected.split("'")[1::2]


def _about(path: tuple[int | str, ...], message: str, content: Any) -> tuple[int | str, ...]:
    """Where to look: a message such as `routes.critical names ...` says itself which part of `path` it is about."""
    part = content
    for step in path:
        try:
            part = part[step]
        except (LookupError, TypeError):
            return path
    deeper = path
    for name in message.partition(" ")[0].rstrip(":").split("."):
        step = int(name) if name.isdecimal() and len(name) < 9 else name
        try:
            part = part[step]
        except (LookupError, TypeError):
            break
        deeper = (*deeper, step)
    return deeper


def _dotted(path: tuple[int | str, ...]) -> str:
    steps = (str(step) for step in path)
    return ".".join(one_line(step if len(step) <= 60 else f"{step[:60]}...") or "''" for step in steps) or "document"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]}..."
