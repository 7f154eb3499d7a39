"""JSON text to plain content, with lines, repeated keys refused and every digit kept."""

from __future__ import annotations

import json
import re
from typing import Any

from engine.document.scalars import number
from engine.document.tree import Lines, TreeBuilder, Unreadable

_BEGINS = re.compile(r'\s*\{\s*["}]')
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[-+.\w]+")
_WORDS = {"true": True, "false": False, "null": None}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_STRINGS = json.JSONDecoder()


def begins_as_json(text: str) -> bool:
    """Whether `text` starts as a JSON object does: a brace, then a quoted key or the end."""
    return _BEGINS.match(text) is not None


def read_json(text: str) -> tuple[Any, Lines]:
    """The content of `text` and where it was written. Raises `Unreadable`."""
    return _Reader(text).read()


class _Reader:
    """One pass over the text: a value, then what its place in list or object asks for, until nothing is open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._builder = TreeBuilder()
        self._ends: list[str] = []

    def read(self) -> tuple[Any, Lines]:
        opened = self._value()
        while self._ends:
            end = self._ends[-1]
            if self._next() == end:
                self._skip(end)
                self._ends.pop()
                self._builder.close()
                opened = False
                continue
            if not opened:
                self._expect(",", f"a comma or {end}")
            if end == "}":
                self._key()
            opened = self._value()
        if self._next():
            raise Unreadable("something follows the end of the content", self._line)
        return self._builder.root, self._builder.lines

    def _value(self) -> bool:
        """Take one value. True when it is a container that starts here."""
        start = self._next()
        if start in ("{", "["):
            self._skip(start)
            self._builder.open({} if start == "{" else [], self._line)
            self._ends.append("}" if start == "{" else "]")
            return True
        self._builder.value(self._string() if start == '"' else self._word(), self._line)
        return False

    def _key(self) -> None:
        if self._next() != '"':
            raise Unreadable('a key must be in double quotes, such as "organization"', self._line)
        self._builder.key(self._string(), self._line)
        self._expect(":", "a colon after the key")

    def _string(self) -> str:
        try:
            text, self._at = _STRINGS.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            said = error.msg.lower()
            problem = (
                "a quote is opened and never closed"
                if "unterminated" in said
                else f"in a text: {said.removesuffix(' at')}"
            )
            raise Unreadable(problem, self._line) from None
        assert isinstance(text, str)
        if not text.isascii() and _HALF_CHARACTER.search(text):
            raise Unreadable("half of a character (\\ud800 to \\udfff)", self._line)
        return text

    def _word(self) -> Any:
        found = _WORD.match(self._text, self._at)
        word = found.group() if found else ""
        self._at += len(word)
        if word in _WORDS:
            return _WORDS[word]
        if _NUMBER.fullmatch(word):
            return number(word, self._line)
        if not word:
            raise Unreadable("a value is missing", self._line)
        shown = word if len(word) <= 40 else f"{word[:40]}..."
        raise Unreadable(f"{shown!r} is neither a number nor true, false or null; put text in quotes", self._line)

    def _next(self) -> str:
        """The character after white space; empty at the end of the text."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._line += self._text.count("\n", self._at, space.end())
        self._at = space.end()
        return self._text[self._at : self._at + 1]

    def _skip(self, token: str) -> None:
        self._at += len(token)

    def _expect(self, token: str, name: str) -> None:
        if self._next() != token:
            found = "the end of the file" if self._at >= len(self._text) else repr(self._text[self._at])
            raise Unreadable(f"expected {name}, found {found}", self._line)
        self._skip(token)
