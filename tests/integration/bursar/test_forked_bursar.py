"""A forked `bursar` says, does and ends as a fresh one; this is also where every command runs fresh once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from bursar.cli import app
from tests.integration.bursar.conftest import CommandLine
from tests.support.forked_bursar import ForkedBursar

TODAY = datetime.now(UTC).date()
BILL = f"agent_id,date,cost_usd\ncoder,{TODAY - timedelta(days=3)},1.25\n"
POLICY_TESTS = """\
document: bursar.yaml
tests:
  - {name: go, request: {agent_id: coder}, at: "2026-11-25T12:00:00Z", expect: {effect: allow}}
"""
ALERT_TESTS = """\
document: bursar.yaml
tests:
  - {name: deny, rule: policy_deny, start: "2026-11-23T09:00:00Z", values: 0x3, expect: {alerts: []}}
"""
WHY = ("--reason", "a test", "--author", "ada")
STORY = [
    # `worker` and `demo` run until they are stopped; their own tests start them fresh.
    ("worker", "--frobnicate"),
    ("demo", "--for", "soon"),
    ("migrate",),
    ("validate", "bursar.yaml"),
    ("schema",),
    ("plan", "bursar.yaml"),
    ("apply", "bursar.yaml", *WHY),
    ("history",),
    ("diff", "1", "1"),
    ("export",),
    ("rollback", "1", *WHY, "--yes"),
    ("policies", "test", "tests.yaml"),
    ("policies", "explain", "--agent", "coder"),
    ("prices", "show"),
    ("prices", "diff", "--from", "genai-prices", "--model", "gpt-4o"),
    ("prices", "import", "--model", "gpt-4o", *WHY, "--yes"),
    ("prices", "set", "openai", "gpt-4o", "--input", "2", "--source", "a list", *WHY),
    ("prices", "history"),
    ("prices", "rollback", "1", *WHY, "--yes"),
    ("replay", "trace.csv", "--document", "bursar.yaml", "--agent", "coder", "--speed", "max"),
    ("seed", "--decisions", "300", "--days", "2", "--until", f"{TODAY}T00:00:00Z", "--org", "acme", "--yes"),
    ("costs", "import", "bill.csv", *WHY, "--source", "bill"),
    ("costs", "variance"),
    ("costs", "calibrate", *WHY),
    ("costs", "calibrations"),
    ("costs", "promote", "7", *WHY),
    ("costs", "reject", "7", *WHY),
    ("costs", "rollback", "7", *WHY),
    ("decisions", "export", "--from", str(TODAY - timedelta(days=1)), *WHY),
    ("ledger", "rebuild-rollups", "--from", str(TODAY - timedelta(days=1))),
    ("alerts", "list"),
    ("alerts", "ack", "01"),
    ("alerts", "show", "01"),
    ("alerts", "rules"),
    ("alerts", "test", "alerts.yaml"),
    ("alerts", "backtest", "policy_deny", "--days", "2"),
    ("alerts", "silence", "add", "agent=coder", "--for", "1h", *WHY),
    ("alerts", "silence", "list"),
    ("alerts", "silence", "end", "ff"),
    ("alerts", "send-test", "nowhere"),
    ("reviews", "run", "daily"),
    ("reviews", "show", "daily"),
    ("vault", "init"),
    ("vault", "add", "coder"),
    ("vault", "list"),
    ("vault", "rotate"),
    ("vault", "remove", "coder", *WHY, "--yes"),
    ("audit", "verify"),
    ("audit", "head"),
    ("audit", "show"),
    ("doctor", "--agent", "coder"),
]


@pytest.fixture
def two(tmp_path: Path, bursar: CommandLine, forked_bursar: ForkedBursar) -> list[CommandLine]:
    """Two folders alike."""
    lines = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lines.append(CommandLine(tmp_path / name, bursar.temporary, forked_bursar))
        (tmp_path / name / "bill.csv").write_text(BILL)
        (tmp_path / name / "tests.yaml").write_text(POLICY_TESTS)
        (tmp_path / name / "alerts.yaml").write_text(ALERT_TESTS)
    return lines


def test_every_command_says_the_same_forked_and_fresh(two: list[CommandLine]) -> None:
    assert {parts for parts in commands(typer.main.get_command(app)) if not told(parts)} == set()
    one, other = two
    for arguments in STORY:
        forked, fresh = one.run(*arguments), other.run_fresh(*arguments)
        assert forked.returncode == fresh.returncode, (arguments, forked, fresh)
        assert plain(forked.stdout, one) == plain(fresh.stdout, other), arguments
        assert plain(forked.stderr, one) == plain(fresh.stderr, other), arguments
        assert "Traceback" not in fresh.stderr
    assert one.left_behind() == other.left_behind()


def commands(command: Any, *before: str) -> set[tuple[str, ...]]:
    parts = getattr(command, "commands", None)
    return set().union(*(commands(part, *before, name) for name, part in parts.items())) if parts else {before}


def told(parts: tuple[str, ...]) -> bool:
    return any(arguments[: len(parts)] == parts for arguments in STORY)


def plain(said: str, line: CommandLine) -> str:
    """Without numbers, times, ids, hashes, and the blanks and lines that depend on their length."""
    said = re.sub(r"[\w+/=]{40,}", "#", said.replace(str(line.folder), ""))
    return re.sub(r"[\s─-]+", " ", re.sub(r"[\w.,:%+-]*\d[\w.,:%+-]*", "#", said))


def test_what_python_reads_when_it_starts_makes_the_command_run_fresh(bursar: CommandLine) -> None:
    assert bursar.run("--version").args[0] == "bursar"
    assert bursar.run("--version", BURSAR_STATE_DIR="state", COLUMNS="40").args[0] == "bursar"
    (bursar.folder / "tests.yaml").write_text(POLICY_TESTS)
    done = bursar.run("policies", "test", "tests.yaml", PYTHONIOENCODING="ascii")
    assert done.args[0] != "bursar"
    assert done.stdout.startswith("? passed go\n")


def test_a_width_is_read_when_it_is_needed(bursar: CommandLine) -> None:
    for columns in ("40", "100"):
        said = bursar.run("frobnicate", COLUMNS=columns).stderr
        assert said == bursar.run_fresh("frobnicate", COLUMNS=columns).stderr
        assert max(map(len, said.splitlines())) == int(columns)


def test_a_command_that_is_killed_or_takes_too_long_is_said(bursar: CommandLine) -> None:
    forked, how = bursar.forked, (bursar.folder, bursar.environment({}))
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(["worker"], *how, timeout=1)
    ended: list[subprocess.CompletedProcess[str]] = []
    run = threading.Thread(target=lambda: ended.append(forked.run(["worker"], *how, timeout=30)))
    run.start()
    children: list[str] = []
    while not children:
        time.sleep(0.01)
        found = subprocess.run(["pgrep", "-P", str(forked.pid)], capture_output=True, text=True, check=False)
        children = found.stdout.split()
    # While it works for one, another gets a process of its own.
    assert forked.run(["--version"], *how, timeout=30).args[0] != "bursar"
    os.kill(int(children[0]), signal.SIGKILL)
    run.join()
    assert ended[0].returncode == -signal.SIGKILL
    assert forked.run(["--version"], *how, timeout=30).stdout.startswith("bursar ")
