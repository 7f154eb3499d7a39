"""YAML text to plain content, one event at a time, refusing what a configuration file has no use for."""

from __future__ import annotations

import re
from typing import Any

import yaml

from engine.document.scalars import plain_scalar
from engine.document.tree import Lines, TreeBuilder, Unreadable

# libyaml when PyYAML was built with it: the same language, ten times faster.
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

# What the parsers say, in words for people who do not know the language's grammar. The first that fits is used.
_PARSER_WORDS = (
    ("mapping values are not allowed", "a second ': ' in one value; check the indentation, or put the text in quotes"),
    ("cannot start any token", "a value cannot start with this character; put the text in quotes"),
    ("could not find expected ':'", "a key needs ': ' after it; check the indentation"),
    ("unexpected end of stream", "a quote is opened and never closed"),
    ("',' or ']'", "a list that starts with [ needs commas and a closing ]"),
    ("',' or '}'", "a mapping that starts with { needs commas and a closing }"),
    ("'-' indicator", "the indentation does not fit the list above it"),
    ("expected key", "the indentation does not fit the lines above it"),
    ("expected <block end>", "the indentation does not fit the lines above it"),
    ("expected <document start>", "the indentation does not fit the lines above it"),
    ("escape", "a \\ in double quotes that means nothing; write \\\\ or use single quotes"),
    ("tab", "a tab cannot indent; use spaces"),
)
_OPENED = ("unexpected end of stream", "',' or ']'", "',' or '}'")


def read_yaml(text: str) -> tuple[Any, Lines]:
    """The content of `text` and where it was written. Raises `Unreadable`."""
    _refuse_control_characters(text)
    builder = TreeBuilder()
    documents = 0
    try:
        for event in yaml.parse(text, Loader=PARSER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable("a second document starts with ---; keep one in a file", _line(event.start_mark))
            else:
                _take(event, builder)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_in_words(error, text), _line(error.problem_mark or error.context_mark)) from None
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise Unreadable(str(error).partition("\n")[0]) from None
    return builder.root, builder.lines


def _take(event: yaml.Event, builder: TreeBuilder) -> None:
    line = _line(event.start_mark)
    if isinstance(event, yaml.ScalarEvent):
        _refuse_marks(event, line)
        _take_scalar(event, builder, line)
    elif isinstance(event, yaml.CollectionStartEvent):
        _refuse_marks(event, line)
        if builder.expects_key:
            raise Unreadable("a key must be a single word or text, not a list or mapping", line)
        builder.open({} if isinstance(event, yaml.MappingStartEvent) else [], line)
    elif isinstance(event, yaml.CollectionEndEvent):
        builder.close()
    elif isinstance(event, yaml.AliasEvent):
        raise Unreadable("aliases (*name) are not supported; write the value again", line)


def _take_scalar(event: yaml.ScalarEvent, builder: TreeBuilder, line: int) -> None:
    text: str = event.value
    plain = event.style is None or event.style == ""
    if not text.isascii() and _HALF_CHARACTER.search(text):
        raise Unreadable("half of a character (\\ud800 to \\udfff)", line)
    if not builder.expects_key:
        builder.value(plain_scalar(text, line) if plain else text, line)
    elif plain and text == "<<":
        raise Unreadable("merge keys (<<) are not supported; write the keys again", line)
    elif plain and text == "":
        raise Unreadable("a key is missing before ':'", line)
    else:
        # As it is written: an agent may be called 2026 or true.
        builder.key(text, line)


def _refuse_marks(event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int) -> None:
    if event.anchor is not None:
        raise Unreadable("anchors (&name) are not supported; write the value where it is needed", line)
    if event.tag is not None:
        raise Unreadable("tags (!name) are not supported; put text in quotes and leave the tag out", line)


def _refuse_control_characters(text: str) -> None:
    found = _NOT_TEXT.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise Unreadable(f"a character that text cannot have (U+{ord(found.group()):04X})", line)


def _in_words(error: yaml.MarkedYAMLError, text: str) -> str:
    said = error.problem or error.context or "its form is broken"
    mark = error.problem_mark
    if mark is not None and "cannot start" in said and text[mark.index : mark.index + 1] == "\t":
        return "a tab cannot indent; use spaces"
    for part, words in _PARSER_WORDS:
        if part in said:
            opened = error.context_mark
            if part in _OPENED and opened is not None and mark is not None and opened.line != mark.line:
                return f"{words} (it starts on line {opened.line + 1})"
            return words
    return said


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1
