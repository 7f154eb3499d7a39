"""`make mutants`: change the gate's Lua in one place at a time, and see that a named test notices each change.

1. Read the scripts and list the changes: writes left out, conditions decided beforehand, comparisons off by one, signs
   turned round.
2. Copy the tree once for each job. A job is one pytest run that has collected its tests and waits for changes.
3. See that the unchanged scripts pass. Then give the jobs one change after the other; the first test that fails
   notices it. What the quick tests let pass meets the gate's reference model in many histories more.
4. See that the unchanged scripts still pass: what broke on the way would make every change look noticed.

Exit code: 0 every change is noticed, or listed below with the reason why nothing can notice it; 1 one is not;
2 could not run; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parent.parent
LUA = Path("engine/admission/lua")
COPIED = ("engine", "tests", "scripts", "pyproject.toml")

JOBS = 2
ROOM = Path("tests/integration/engine")
CONFORMANCE = ROOM / "test_gate_conformance.py"
TESTS = (
    CONFORMANCE,
    *(ROOM / f"test_{name}.py" for name in ("gate_details", "budgets_at_the_gate", "holds", "rates_at_the_gate")),
)
"""In the order in which they are tried: what notices most in the least time comes first."""
FEW_HISTORIES, MANY_HISTORIES = 400, 2000

# Nothing can notice these, for the reason given. The key is the script, the function and the change as it is told.
EQUIVALENT: Mapping[tuple[str, str, str], str] = {}


# The changes


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one script: the characters from `start` to `end` become `new`.

    `told` is its line, with what was there and what is there now between « and ».
    """

    file: str
    function: str
    line: int
    start: int
    end: int
    new: str
    told: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.told}"

    @property
    def equivalent(self) -> str:
        """Why nothing can notice it; empty when something must."""
        return EQUIVALENT.get((self.file, self.function, self.told), "")

    def apply(self, text: str) -> str:
        """The changed script. Later lines stay where they are."""
        gone = text[self.start : self.end].count("\n") - self.new.count("\n")
        return text[: self.start] + self.new + "\n" * gone + text[self.end :]


@dataclass(frozen=True, slots=True)
class Token:
    """A word, literal or sign of a script."""

    kind: str
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*)|(?P<string>'(?:\\.|[^'\\\n])*')|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)
    |(?P<sign>\.\.|[<>=~]=|[-+*/%\#(){}\[\],.<>=])""",
    re.VERBOSE,
)
_BLOCKS = {"if", "for", "while", "function"}
_KEYWORDS = _BLOCKS | {"and", "do", "else", "elseif", "end", "in", "local", "not", "or", "return", "then"}
_EDGES = {"=", ",", ")", "]", "}"} | _KEYWORDS - {"and", "or", "not"}
"""Where an expression ends."""
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_FLIPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "~=", "~=": "=="}
_READING = {"EXISTS", "GET", "GETRANGE", "HGET", "HMGET", "TIME", "XINFO", "XREVRANGE", "ZRANGEBYSCORE", "ZSCORE"}
_LISTS = {"XADD": (2, 2), "HSET": (1, 2), "HDEL": (1, 1), "DEL": (0, 1)}
"""Commands that write several things: where these begin among the arguments, and of how many words each is."""
_OPTIONS = {"'NX'": 1, "'PX'": 2}
"""Options of a write, with the number of words that belong to them."""


class NotUnderstood(Exception):
    """A script uses more of Lua than is read here."""


class Script:
    """The tokens of one script, and what its expressions, calls and functions are."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.tokens: list[Token] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise NotUnderstood(f"{file}:{text.count(chr(10), 0, at) + 1}: {text[at : at + 20]!r}")
            if found.lastgroup != "skip":
                kind = "keyword" if found.group() in _KEYWORDS else found.lastgroup
                self.tokens.append(Token(kind, found.group(), at, found.end()))
            at = found.end()
        self._partners = self._find_partners()
        self.functions = dict(self._find_functions())

    def _find_partners(self) -> dict[int, int]:
        partners, opened = {}, []
        for at, token in enumerate(self.tokens):
            if token.text in _BRACKETS:
                opened.append(at)
            elif token.text in _BRACKETS.values():
                partners[opened.pop()] = at
        return partners

    def _find_functions(self) -> Iterator[tuple[str, range]]:
        opened: list[int] = []
        for at, token in enumerate(self.tokens):
            if token.text in _BLOCKS:
                opened.append(at)
            elif token.text == "end":
                begun = opened.pop()
                if self.tokens[begun].text == "function":
                    yield self.tokens[begun + 1].text, range(begun + 2, at)
        if opened:
            raise NotUnderstood(f"{self.file}: a block has no end")

    def surface(self, low: int, high: int) -> Iterator[int]:
        """The tokens from `low` to before `high` that are not inside brackets among them."""
        while low < high:
            yield low
            low = self._partners.get(low, low) + 1

    def is_operand(self, at: int) -> bool:
        """Whether an operand can end here: a sign that follows is one between two operands."""
        token = self.tokens[at]
        return token.kind in {"name", "number", "string"} or token.text in _BRACKETS.values()

    def is_statement(self, at: int) -> bool:
        """Whether a call that begins here is a statement, not a value."""
        return at == 0 or self.is_operand(at - 1) or self.tokens[at - 1].text in {"then", "else", "do", "end"}

    def expressions(self) -> Iterator[tuple[bool, int, int]]:
        """Conditions (True), and what is assigned or returned (False): first token, and the one after the last."""
        for at in self.surface(0, len(self.tokens)):
            word = self.tokens[at].text
            if word in {"if", "elseif", "while", "=", "return", ","}:
                yield word in {"if", "elseif", "while"}, at + 1, self._end_of_expression(at + 1)

    def _end_of_expression(self, low: int) -> int:
        for at in self.surface(low, len(self.tokens)):
            token = self.tokens[at]
            if token.text in _EDGES or (token.kind == "name" and at > low and self.is_operand(at - 1)):
                return at
        return len(self.tokens)

    def leaves(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """What an expression joins by `and`, `or` and `not`."""
        cuts = [at for at in self.surface(low, high) if self.tokens[at].text in {"and", "or"}]
        if cuts:
            for before, after in pairwise([low - 1, *cuts, high]):
                yield from self.leaves(before + 1, after)
        elif self.tokens[low].text == "not":
            yield from self.leaves(low + 1, high)
        elif self._partners.get(low) == high - 1 and self.tokens[low].text == "(":
            yield from self.leaves(low + 1, high - 1)
        else:
            yield low, high

    def comparison(self, low: int, high: int) -> Token | None:
        """The comparing sign of a leaf."""
        return next((self.tokens[at] for at in self.surface(low, high) if self.tokens[at].text in _FLIPS), None)

    def calls(self) -> Iterator[tuple[int, str, list[tuple[int, int]]]]:
        """Calls: first token, the Redis command or the function's name, and the arguments (first character, last)."""
        words = [token.text for token in self.tokens]
        for at, word in enumerate(words):
            if words[at : at + 4] == ["redis", ".", "call", "("]:
                name, *arguments = self._arguments(at + 3)
                yield at, self.text[slice(*name)].strip("'"), arguments
            elif self.tokens[at].kind == "name" and words[at + 1 : at + 2] == ["("] and words[at - 1] != "function":
                yield at, word, self._arguments(at + 1)

    def _arguments(self, bracket: int) -> list[tuple[int, int]]:
        end = self._partners[bracket]
        commas = [at for at in self.surface(bracket + 1, end) if self.tokens[at].text == ","]
        return [
            (self.tokens[before + 1].start, self.tokens[after - 1].end)
            for before, after in pairwise([bracket, *commas, end])
            if before + 1 < after
        ]

    def end_of_call(self, at: int) -> int:
        """The character after a call that begins with this token."""
        bracket = next(index for index in range(at, len(self.tokens)) if self.tokens[index].text == "(")
        return self.tokens[self._partners[bracket]].end

    def mutant(self, start: int, end: int, new: str) -> Mutant:
        """A change of these characters."""
        functions = (
            name
            for name, body in self.functions.items()
            if self.tokens[body.start].start <= start < self.tokens[body.stop].end
        )
        line, last = self.text.rfind("\n", 0, start) + 1, self.text.find("\n", end)
        told = f"{self.text[line:start]}«{self.text[start:end]} -> {new}»{self.text[end:last]}"
        return Mutant(
            self.file, next(functions, ""), self.text.count("\n", 0, start) + 1, start, end, new, " ".join(told.split())
        )


def find_mutants(texts: Mapping[str, str]) -> list[Mutant]:
    """Every change of the scripts, in the order of their lines."""
    scripts = [Script(file, text) for file, text in texts.items()]
    writing = _writing_functions(scripts)
    found = [
        mutant
        for script in scripts
        for mutant in (*_left_out(script, writing), *_decided(script), *_turned_round(script))
    ]
    return sorted(found, key=lambda mutant: (mutant.file, mutant.start))


def _writing_functions(scripts: Sequence[Script]) -> set[str]:
    """The functions that write, or call one that does."""
    writing: set[str] = set()
    while True:
        more = {
            name
            for script in scripts
            for name, body in script.functions.items()
            for at, called, _ in script.calls()
            if at in body and _writes(script, at, called, writing)
        }
        if more <= writing:
            return writing
        writing |= more


def _writes(script: Script, at: int, called: str, writing: set[str]) -> bool:
    return called in writing or (script.tokens[at].text == "redis" and called not in _READING)


def _left_out(script: Script, writing: set[str]) -> Iterator[Mutant]:
    """Writes left out, whole and in part."""
    for at, called, arguments in script.calls():
        if _writes(script, at, called, writing):
            start, end = script.tokens[at].start, script.end_of_call(at)
            yield script.mutant(start, end, "" if script.is_statement(at) else "0")
            for first, last in _parts(called, [script.text[slice(*argument)] for argument in arguments]):
                yield script.mutant(arguments[first - 1][1], arguments[last][1], "")


def _parts(command: str, arguments: Sequence[str]) -> Iterator[tuple[int, int]]:
    """What can be left out of a write, first argument and last: one of several things it writes, or an option."""
    if command in _LISTS:
        begin, words = _LISTS[command]
        if len(arguments) - begin > words:
            yield from ((first, first + words - 1) for first in range(begin, len(arguments), words))
    for first, argument in enumerate(arguments):
        if argument in _OPTIONS:
            yield first, first + _OPTIONS[argument] - 1


def _decided(script: Script) -> Iterator[Mutant]:
    """Conditions decided beforehand, and comparisons off by one or turned round."""
    for is_condition, low, high in script.expressions():
        leaves = list(script.leaves(low, high))
        if not is_condition and leaves == [(low, high)] and script.comparison(low, high) is None:
            continue
        for first, after in leaves:
            if after - first == 1 and script.tokens[first].kind in {"string", "number"}:
                continue
            start, end = script.tokens[first].start, script.tokens[after - 1].end
            yield script.mutant(start, end, "true")
            yield script.mutant(start, end, "false")
            if sign := script.comparison(first, after):
                yield script.mutant(sign.start, sign.end, _FLIPS[sign.text])


def _turned_round(script: Script) -> Iterator[Mutant]:
    """Plus for minus and the other way round, one left out, the least for the most."""
    for at, token in enumerate(script.tokens):
        if token.text == "max":
            yield script.mutant(token.start, token.end, "min")
        elif token.text in {"+", "-"}:
            if not script.is_operand(at - 1):
                yield script.mutant(token.start, token.end, "")
                continue
            operand = script.tokens[at + 1]
            yield script.mutant(token.start, operand.end, f"{'-' if token.text == '+' else '+'} {operand.text}")
            if operand.text == "1":
                yield script.mutant(token.start, operand.end, f"{token.text} 0")
