"""`bursar replay`: a recorded trace through the real service."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data" / "AzureLLMInferenceTrace_code.csv"
ALWAYS = ["--document", "bursar.yaml", "--agent", "coder", "--speed", "max", "--json"]


def test_rows_are_checked_settled_and_stored_and_a_bad_row_is_named(bursar: Any) -> None:
    result = bursar.run("replay", "trace.csv", *ALWAYS, "--user", "ada", "--state-dir", "state")
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said.pop("checks_per_second") > 0
    assert said == {
        "rows": 3, "bad_rows": 1, "decisions": 3, "allowed": 3, "denied": {}, "ledger_rows": 3,
        "estimated_usd": 0.0156, "actual_usd": 0.0156,
    }  # fmt: skip
    assert "line 4: ContextTokens must be a whole number" in result.stderr
    with closing(sqlite3.connect(bursar.folder / "state" / "ledger.db")) as ledger:
        rows = ledger.execute(
            "SELECT user_id, state, actual_micros, input_tokens FROM decisions ORDER BY input_tokens"
        ).fetchall()
    assert rows == [("ada", "settled", 2600, 1000), ("ada", "settled", 5200, 2000), ("ada", "settled", 7800, 3000)]


def test_without_a_state_directory_nothing_is_left_behind(bursar: Any) -> None:
    result = bursar.run("replay", "trace.csv", *ALWAYS)
    assert result.returncode == 0, result.stderr
    assert bursar.left_behind() == set()


def test_a_trace_of_nothing_is_replayed(bursar: Any) -> None:
    (bursar.folder / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    result = bursar.run("replay", "trace.csv", *ALWAYS)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["decisions"] == 0


def test_denials_are_counted_by_reason_and_models_of_the_trace_are_priced(bursar: Any) -> None:
    (bursar.folder / "bursar.yaml").write_text(
        """\
organization: acme
agents: {coder: {provider: openai}}
budgets: [{id: org, per: org, monthly_execution_limit: 1}]
policies: [{policy_id: go, effect: allow}]
"""
    )
    (bursar.folder / "trace.csv").write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\r\n"
        "1,gpt-4o,100,0,100,x\r\n2,gpt-4o,100,0,100,x\r\n3,ChatGPT,1,1,2,x\r\n4,bad model,1,1,2,x\r\n"
    )
    result = bursar.run("replay", "trace.csv", *ALWAYS)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["allowed"], said["denied"]) == (1, {"budget_monthly_executions": 1, "unknown_price": 1})
    assert (said["rows"], said["bad_rows"], said["ledger_rows"]) == (3, 1, 3)
    assert "line 5: model: " in result.stderr


def test_a_recorded_pace_is_kept_and_can_be_multiplied(bursar: Any) -> None:
    started = time.monotonic()
    arguments = [part if part != "max" else "2" for part in ALWAYS]
    assert bursar.run("replay", "trace.csv", *arguments).returncode == 0
    assert time.monotonic() - started > 1.0


@pytest.mark.parametrize("state_dir", [None, "state"])
def test_ctrl_c_ends_a_replay_in_order_with_a_result(bursar: Any, state_dir: str | None) -> None:
    rows = "\n".join(f"2023-11-16 18:{minute:02}:00.0,10,1" for minute in range(60))
    (bursar.folder / "trace.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}\n")
    arguments = [part if part != "max" else "1" for part in ALWAYS]
    process = bursar.start("replay", "trace.csv", *arguments, *(["--state-dir", state_dir] if state_dir else []))
    servers = wait_for_server(process.pid)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Interrupted" in err
    assert json.loads(out)["rows"] == json.loads(out)["ledger_rows"] == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in servers)
    if state_dir is None:
        assert bursar.left_behind() == set()


def wait_for_server(parent: int) -> list[int]:
    """The private server that process `parent` has started."""
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        for task in Path(f"/proc/{parent}/task").iterdir():
            children = [int(pid) for pid in (task / "children").read_text().split()]
            if children:
                return children
        time.sleep(0.02)
    pytest.fail("no server was started")


@pytest.mark.skipif(not DATA.exists(), reason=f"the public trace {DATA.name} is not here")
def test_the_public_code_trace_costs_what_its_tokens_cost(bursar: Any) -> None:
    result = bursar.run("replay", os.fspath(DATA), *ALWAYS)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["rows"], said["allowed"], said["ledger_rows"], said["bad_rows"]) == (8819, 8819, 8819, 0)
    assert said["actual_usd"] == 47.608942
