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
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn, TextIO, cast

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parent.parent
LUA = Path("engine/admission/lua")
COPIED = ("engine", "tests", "scripts", "pyproject.toml")

JOBS = 2
JOB_BYTES = 4 * 2**30
STOP_SECONDS = 15.0
ROOM = Path("tests/integration/engine")
CONFORMANCE = ROOM / "test_gate_conformance.py"
TESTS = (
    CONFORMANCE,
    *(ROOM / f"test_{name}.py" for name in ("gate_details", "budgets_at_the_gate", "holds", "rates_at_the_gate")),
)
"""In the order in which they are tried: what notices most in the least time comes first."""
FEW_HISTORIES, MANY_HISTORIES = 120, 2000

# Nothing can notice these, for the reason given. The key is the script, the function and the change as it is told.
EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    (
        "check.lua", "", "if reason == '' and «executions_reason ~= '' -> true» then",
    ): "without a denial by executions, no reason takes the place of no reason",
    (
        "check.lua", "", "if «full ~= '' -> true» then",
    ): "a scope with room has no wait, and the next one that is full is noted in its place",
    (
        "check.lua", "", "if reason == '' and «rate_reason ~= '' -> true» then",
    ): "without a denial by rates, no reason takes the place of no reason",
    (
        "install.lua", "", "behind = «behind -> true» and not is_after_cursor(info[i + 1])",
    ): "it is false only for the cursor 0-0, and every event is after that",
    (
        "ring.lua", "read_scope", "local packed = redis.call('GETRANGE', key, 0, HEADER_BYTES «- 1 -> + 1»)",
    ): "bytes after the header are not unpacked",
    (
        "ring.lua", "read_scope", "local packed = redis.call('GETRANGE', key, 0, HEADER_BYTES «- 1 -> - 0»)",
    ): "bytes after the header are not unpacked",
    (
        "ring.lua", "read_scope", "elseif «scope[at + 1] > 0 -> true» then",
    ): "a scope is written after a request was counted in each of its windows, so no total is nought",
    (
        "ring.lua", "read_scope", "elseif scope[at + 1] «> -> >=» 0 then",
    ): "a scope is written after a request was counted in each of its windows, so no total is nought",
    (
        "ring.lua", "read_scope", "elseif scope[at «+ 1 -> + 0»] > 0 then",
    ): "a scope that was written has a newest sub-bucket, and its total is not nought either",
    (
        "ring.lua", "ring_wait",
        "for i, count in ipairs(numbers_in(slots_between(key, ring, oldest, newest «- 1 -> - 0»))) do",
    ): "when the newest sub-bucket has to leave too, the answer is the same inside the loop and after it",
    (
        "ring.lua", "make_room", "if «scope.fresh -> false» or scope[CURRENT + 3] > scope[7] then",
    ): "the newest sub-bucket of a fresh scope is 0, so the other half is true",
    (
        "ring.lua", "hit_ring", "if passed «>= -> >» ring.slots then",
    ): "after one whole turn the newest sub-bucket has the same slot as the one before, and that is not read",
}  # fmt: skip


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
        before, after = self.text[:start].rpartition("\n")[2], self.text[end:].partition("\n")[0]
        told = f"{before}«{self.text[start:end]} -> {new or 'nothing'}»{after}"
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
                # With the comma before it; the first argument with the comma after it.
                begun, ended = (
                    (arguments[first - 1][1], arguments[last][1])
                    if first
                    else (arguments[0][0], arguments[last + 1][0])
                )
                yield script.mutant(begun, ended, "")


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


# A job: one pytest run that tries changes


HISTORY_TEST = "test_the_gate_and_its_reference_model_agree_on_every_history"


class Rounds:
    """A pytest plugin: instead of running the collected tests once, try them on every change that is asked about."""

    def __init__(self, questions: TextIO, answers: TextIO) -> None:
        self._questions = questions
        self._answers = answers
        self._failure = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test fails."""
        if report.failed:
            self._failure = report.longreprtext

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Say which engine is tested, then answer until there are no more questions."""
        import engine

        if session.testsfailed:
            raise session.Failed("the tests could not be collected")
        self._answer(engine=str(Path(str(engine.__file__)).resolve()))
        for line in self._questions:
            question = json.loads(line)
            path = LUA / question["file"]
            path.write_text(question["text"], encoding="utf-8")
            self._answer(test=self._noticed_by(session, thorough=question["thorough"]), failure=self._failure)
            path.write_text(question["unchanged"], encoding="utf-8")
        return True

    def _answer(self, **answer: str) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _noticed_by(self, session: pytest.Session, *, thorough: bool) -> str:
        for item in cast("list[pytest.Function]", session.items):
            is_history = item.originalname == HISTORY_TEST
            if is_history:
                _shorten(item.module, MANY_HISTORIES if thorough else FEW_HISTORIES)
            # Few histories are the first part of their test; many are all of it, and nothing else.
            is_asked = is_history if thorough else not is_history or item.callspec.params["chunk"] == 0
            # A failure that does not come again is the machine's.
            if is_asked and self._fails(item) and self._fails(item):
                return item.nodeid
        return ""

    def _fails(self, item: pytest.Item) -> bool:
        self._failure = ""
        # The session comes next: all that belongs to this test alone is put away, and the servers stay.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=item.session)
        return bool(self._failure)


def _shorten(conformance: ModuleType, histories: int) -> None:
    import hypothesis  # pytest wants to be the first who does this

    vars(conformance)["HISTORIES"] = histories
    # To look for the shortest history that shows a failure takes longer than to find one.
    vars(conformance)["settings"] = lambda **chosen: hypothesis.settings(
        **{**chosen, "phases": (hypothesis.Phase.generate,)}
    )


def serve() -> NoReturn:
    """Be a job: questions come on standard input, answers go to standard output, whatever else is said to a log."""
    # A change may make a script ask for all the memory there is. Not every system can refuse it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (JOB_BYTES, JOB_BYTES))
    with os.fdopen(os.dup(0)) as questions, os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        options = (
            *("-q", "--tb=short", "-k", "not postgres", "--basetemp=kept", "-o", "tmp_path_retention_policy=failed"),
            # What a failed test leaves to the garbage collector is no failure of the next one.
            *("-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception"),
        )  # fmt: skip
        sys.exit(pytest.main([*options, *map(str, TESTS)], plugins=[Rounds(questions, answers)]))


# The other side: what hands changes to jobs


class CannotRun(Exception):
    """Why there is no result, in words for the terminal."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one change: the test that noticed it and how it failed, or nothing."""

    mutant: Mutant
    test: str
    failure: str
    seconds: float

    @property
    def outcome(self) -> str:
        """In one word."""
        if self.test:
            return "KILLED"
        return "EQUIVALENT" if self.mutant.equivalent else "SURVIVED"

    @property
    def is_as_told(self) -> bool:
        """Whether it is noticed, or rightly on the list of those that cannot be."""
        return bool(self.test) != bool(self.mutant.equivalent)

    def __str__(self) -> str:
        if self.test:
            return f"{self.mutant}  KILLED by {_short(self.test)}"
        if self.mutant.equivalent:
            return f"{self.mutant}  EQUIVALENT: {self.mutant.equivalent}"
        return f"{self.mutant}  SURVIVED"


def _short(test: str) -> str:
    return test.removeprefix(f"{ROOM}/")


class Job:
    """A copy of the tree with a pytest run in it."""

    def __init__(self, folder: Path, texts: Mapping[str, str]) -> None:
        self._folder = folder
        self._texts = texts
        ignored = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, folder / name)
        for file, text in texts.items():
            (folder / LUA / file).write_text(text, encoding="utf-8")
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from scripts.mutants import serve; serve()"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(folder), "BURSAR_HISTORIES": str(MANY_HISTORIES)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # A Ctrl-C in the terminal is answered here, by stopping the jobs in order.
                start_new_session=True,
            )

    def begin(self) -> None:
        """Wait until the tests are collected, and see that they test the copy and pass."""
        told = Path(self._read()["engine"])
        if not told.is_relative_to(self._folder):
            raise CannotRun(f"The tests would test {told}, not the copy in {self._folder}.")
        self.see_that_all_is_well()

    def see_that_all_is_well(self) -> None:
        """The unchanged scripts must pass."""
        file, text = next(iter(self._texts.items()))
        answer = self._ask(file, text)
        if answer["test"]:
            raise CannotRun(f"The unchanged scripts fail {answer['test']}.\n{answer['failure'][-2000:]}")

    def try_mutant(self, mutant: Mutant) -> Result:
        """Find the test that notices a change."""
        started = time.monotonic()
        changed = mutant.apply(self._texts[mutant.file])
        answer = self._ask(mutant.file, changed)
        if not answer["test"] and not mutant.equivalent:
            answer = self._ask(mutant.file, changed, thorough=True)
        return Result(mutant, answer["test"], answer["failure"], time.monotonic() - started)

    def _ask(self, file: str, text: str, *, thorough: bool = False) -> dict[str, str]:
        question = {"file": file, "text": text, "unchanged": self._texts[file], "thorough": thorough}
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            raise CannotRun(f"The tests ended.\n{self._end_of_log()}")
        answer: dict[str, str] = json.loads(line)
        return answer

    def _end_of_log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def stop(self) -> None:
        """End the tests and their servers, in the middle of a test too."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()


def try_all(mutants: Sequence[Mutant], texts: Mapping[str, str], folder: Path) -> Generator[Result, None, None]:
    """Try the changes, several at once; results come as they are ready."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    ready: queue.SimpleQueue[Result | Exception | None] = queue.SimpleQueue()

    def work(job: Job) -> None:
        try:
            job.begin()
            with suppress(queue.Empty):
                while True:
                    ready.put(job.try_mutant(waiting.get_nowait()))
            job.see_that_all_is_well()
            ready.put(None)
        except Exception as problem:  # noqa: BLE001 - raised again by the reader
            ready.put(problem)

    with ExitStack() as opened:
        for number in range(min(JOBS, len(mutants))):
            job = Job(folder / f"job-{number}", texts)
            opened.callback(job.stop)
            threading.Thread(target=work, args=(job,), daemon=True).start()
        working = min(JOBS, len(mutants))
        while working:
            match ready.get():
                case None:
                    working -= 1
                case Result() as result:
                    yield result
                case Exception() as problem:
                    raise problem


# The command


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGINT, _stop_once)
    signal.signal(signal.SIGTERM, _stop_once)
    console = Console(stderr=True)
    try:
        sys.exit(run(console, arguments))
    except KeyboardInterrupt:
        console.print("Stopped before the end.")
        sys.exit(130)
    except (CannotRun, NotUnderstood, OSError) as problem:
        console.print(f"Could not run: {problem}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


def run(console: Console, arguments: argparse.Namespace) -> int:
    """Try every change that is asked for, tell what became of each, and return the exit code."""
    started = time.monotonic()
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / LUA).glob("*.lua"))}
    everything = find_mutants(texts)
    told = Counter((mutant.file, mutant.function, mutant.told) for mutant in everything)
    if strange := [key for key in EQUIVALENT if told[key] != 1]:
        raise CannotRun(f"The list of equivalent changes names what is not there, or is there twice: {strange[0]}")
    mutants = [
        mutant
        for mutant in everything
        if (not arguments.file or mutant.file in arguments.file) and re.search(arguments.only, str(mutant))
    ]
    if not mutants:
        raise CannotRun("no change matches.")
    output = Console(highlight=False, markup=False, soft_wrap=True)
    if arguments.list:
        for mutant in mutants:
            output.print(str(mutant))
        return 0
    results = []
    with tempfile.TemporaryDirectory(prefix="bursar-mutants-") as folder, _progress(console) as progress:
        task = progress.add_task("Seeing that the unchanged scripts pass", total=len(mutants))
        # The list goes to the terminal through the progress bar, or it would be drawn over.
        shown = progress.console if console.is_terminal and output.is_terminal else output
        with closing(try_all(mutants, texts, Path(folder).resolve())) as tried:
            for result in tried:
                results.append(result)
                progress.update(task, description="Trying changes", advance=1)
                shown.print(str(result), markup=False, highlight=False, soft_wrap=True)
    results.sort(key=lambda result: mutants.index(result.mutant))
    seconds = time.monotonic() - started
    _show(output, results, seconds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_as_json(results, seconds), indent=2) + "\n", encoding="utf-8")
    return 0 if all(result.is_as_told for result in results) else 1


def _show(output: Console, results: Sequence[Result], seconds: float) -> None:
    output.print("\nNoticed by:")
    for test, count in Counter(result.test.split("[")[0] for result in results if result.test).most_common():
        output.print(f"  {count:4}  {_short(test)}")
    for result in results:
        if not result.is_as_told:
            output.print(
                f"\n{'On the list of equivalent changes, yet noticed' if result.test else 'Not noticed'}:\n{result}"
            )
    counted = Counter(result.outcome for result in results)
    output.print(
        f"\n{len(results)} changes: {counted['KILLED']} killed, {counted['EQUIVALENT']} equivalent, "
        f"{counted['SURVIVED']} survived; {int(seconds // 60)} min {int(seconds % 60)} s"
    )


def _as_json(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    mutants = [
        {
            "file": result.mutant.file,
            "line": result.mutant.line,
            "change": result.mutant.told,
            "outcome": result.outcome,
            "test": result.test,
            "failure": result.failure[-500:],
            "reason": result.mutant.equivalent,
            "seconds": round(result.seconds, 2),
        }
        for result in results
    ]
    return {"seconds": round(seconds), "counts": Counter(each["outcome"] for each in mutants), "mutants": mutants}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.mutants",
        description="Change the gate's Lua scripts in one place at a time and see that a named test notices.",
    )
    parser.add_argument(
        "--file", action="append", metavar="NAME", help="only this script, such as ring.lua; may be repeated"
    )
    parser.add_argument("--only", default="", metavar="REGEX", help="only changes whose line in the output matches")
    parser.add_argument("--list", action="store_true", help="tell the changes without trying them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as JSON")
    arguments = parser.parse_args()
    for name in arguments.file or ():
        if not (ROOT / LUA / name).is_file():
            parser.error(f"{LUA} has no {name}")
    try:
        re.compile(arguments.only)
    except re.error as error:
        parser.error(f"--only {arguments.only}: {error}")
    if arguments.json is not None and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"{arguments.json} cannot be written: is its folder there?")
    return arguments


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _stop_once(_signal: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the ending.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
