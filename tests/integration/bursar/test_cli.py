"""The command line: help everywhere, and for every mistake one sentence, exit code 2, and nothing written."""

from __future__ import annotations

from typing import Any

import pytest

BAD_DOCUMENTS = {
    "unknown-key.yaml": "organization: acme\nbudget: []\n",
    "broken.yaml": "organization: [acme\n",
    "empty.yaml": "",
    "binary.yaml": "\x00\x01\x02",
}


def refused(result: Any, *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("bursar: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", ["", "demo", "worker", "migrate", "replay", "policies"])
def test_help_is_there_for_every_command(bursar: Any, command: str) -> None:
    result = bursar.run(*filter(None, [command]), "--help")
    assert result.returncode == 0
    assert "Usage:" in result.stdout
    assert bursar.left_behind() == set()


def test_the_version_is_said(bursar: Any) -> None:
    result = bursar.run("--version")
    assert (result.returncode, result.stdout.split()[0]) == (0, "bursar")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"--agent": "nobody"}, ["agent_id: 'nobody' is not registered", "coder, copilot"]),
        ({"--agent": "a b"}, ["agent_id: "]),
        ({"--user": "a b"}, ["--user: "]),
        ({"--model": "gpt-4o-mini"}, ["model: ", "registered with 'gpt-4o'"]),
        ({"--speed": "0"}, ["--speed: must be a number above 0 or max, got '0'"]),
        ({"--speed": "-1"}, ["--speed: "]),
        ({"--speed": "nan"}, ["--speed: "]),
        ({"--speed": "inf"}, ["--speed: "]),
        ({"--speed": "fast"}, ["--speed: "]),
        ({"trace": "none.csv"}, ["none.csv: cannot be read: No such file"]),
        ({"trace": "."}, [".: is not a file"]),
        ({"trace": "bursar.yaml"}, ["bursar.yaml: is not a known trace"]),
        ({"--document": "none.yaml"}, ["none.yaml: cannot be read"]),
        ({"--document": "unknown-key.yaml"}, ["unknown-key.yaml, line 2: budget: is not a known key"]),
        ({"--document": "broken.yaml"}, ["broken.yaml, line 2: is not readable YAML"]),
        ({"--document": "empty.yaml"}, ["empty.yaml: is not a governance document"]),
        ({"--document": "binary.yaml"}, ["binary.yaml, line 1: is not readable YAML"]),
        ({"BURSAR_DATABASE_URL": "mysql://x/y"}, ["BURSAR_DATABASE_URL names the database 'mysql'"]),
        ({"BURSAR_DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/x"}, ["cannot be used: connection failed"]),
        ({"BURSAR_REDIS_URL": "nonsense"}, ["BURSAR_REDIS_URL: is not the URL of a server"]),
        ({"BURSAR_HOLD_SECONDS": "soon"}, ["BURSAR_HOLD_SECONDS: "]),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_sentence_and_writes_nothing(bursar: Any, changed: dict[str, str], words: list[str]) -> None:
    for name, content in BAD_DOCUMENTS.items():
        if name in changed.values():
            (bursar.folder / name).write_text(content)
    settings = {name: value for name, value in changed.items() if name.startswith("BURSAR_")}
    options = {"--document": "bursar.yaml", "--agent": "coder", "--speed": "max", "--state-dir": "state"}
    options |= {name: value for name, value in changed.items() if name.startswith("--")}
    arguments = [part for pair in options.items() for part in pair]
    result = bursar.run("replay", changed.get("trace", "trace.csv"), *arguments, **settings)
    refused(result, *words)
    assert "secret" not in result.stderr
    if "BURSAR_REDIS_URL" not in changed:
        assert bursar.left_behind() <= set(BAD_DOCUMENTS)


@pytest.mark.parametrize("command", ["worker", "migrate"])
def test_a_wrong_database_is_one_sentence_for_every_command(bursar: Any, command: str) -> None:
    refused(bursar.run(command, BURSAR_DATABASE_URL="oracle://x"), "BURSAR_DATABASE_URL names the database 'oracle'")
    assert bursar.left_behind() == set()


def test_an_unknown_command_or_option_is_explained(bursar: Any) -> None:
    for arguments in (["frobnicate"], ["replay", "--frobnicate"], ["replay"]):
        result = bursar.run(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        assert "Usage:" in result.stderr


def test_migrate_says_what_it_reached_and_can_be_repeated(bursar: Any) -> None:
    first = bursar.run("migrate", BURSAR_STATE_DIR="state")
    again = bursar.run("migrate", BURSAR_STATE_DIR="state")
    assert first.returncode == again.returncode == 0
    assert first.stdout == again.stdout
    assert "has table version " in first.stdout
