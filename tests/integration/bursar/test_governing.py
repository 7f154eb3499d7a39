"""The commands around the governance document, as a person and a pipeline use them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bursar.governing import linting
from engine.document.load import parse_text, read_document
from engine.document.store import live_document, version_history
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.ledger_copies import LedgerCopies

COMMENTED = """\
# Acme: ask finance before raising anything
organization: acme
agents:
  coder: {provider: azure_openai, model: gpt-4o, team: team-eng}
  copilot: {provider: copilot_studio}   # the HR bot
budgets:
  - {id: org, per: org, monthly_budget_usd: 5000}
policies:
  - {policy_id: go, effect: allow}
"""
BAD = COMMENTED.replace("5000", "-1").replace("effect: allow", "effect: maybe")


class Office:
    """A folder with a document, and the ledger that its commands work on."""

    def __init__(self, bursar: Any, **settings: str) -> None:
        self.bursar = bursar
        self.settings = settings
        self.file: Path = bursar.folder / "bursar.yaml"
        self.file.write_text(COMMENTED)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.bursar.run(*arguments, **self.settings)
        assert "Traceback" not in done.stderr
        return done

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def apply(self, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.run("apply", "bursar.yaml", "--reason", "a test", *options)
        assert done.returncode == code, done.stderr
        return done

    def begin(self, ledger_copies: LedgerCopies) -> None:
        """Apply the document to a ledger that was migrated before: most tests are about what comes later."""
        url = self.settings.get("BURSAR_DATABASE_URL")
        if url is None:
            folder = self.bursar.folder / ".bursar"
            folder.mkdir()
            url = f"sqlite:///{folder / 'ledger.db'}"
        ledger_copies.put(url, migrate)
        self.apply()


@pytest.fixture
def office(bursar: Any) -> Office:
    return Office(bursar)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str, lines: int = 1) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("bursar: ")
    assert done.stderr.count("\n") == lines
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", ["validate", "schema", "plan", "apply", "history", "diff", "export", "rollback"])
def test_every_command_has_help_with_an_example(office: Office, command: str) -> None:
    done = office.run(command, "--help")
    assert done.returncode == 0
    assert f"Example: bursar {command}" in done.stdout


def test_validate_names_every_problem_with_its_line(office: Office) -> None:
    (office.bursar.folder / "bad.yaml").write_text(BAD)
    done = office.run("validate", "bursar.yaml", "bad.yaml")
    assert done.returncode == 2
    assert "bursar.yaml: valid" in done.stdout
    assert len(re.findall(r"^bad.yaml: line \d+: ", done.stderr, re.MULTILINE)) == 2
    assert office.run("validate", "bursar.yaml").returncode == 0
    missing = office.run("validate", "none.yaml")
    assert (missing.returncode, missing.stderr) == (2, "none.yaml: cannot be read: No such file or directory\n")
    told = json.loads(office.run("validate", "bursar.yaml", "bad.yaml", "--json").stdout)
    assert [(each["file"], each["valid"], len(each["problems"])) for each in told] == [
        ("bursar.yaml", True, 0),
        ("bad.yaml", False, 2),
    ]


def test_schema_is_json(office: Office) -> None:
    done = office.run("schema")
    assert done.returncode == 0
    assert "budgets" in json.loads(done.stdout)["properties"]


def test_plan_answers_by_its_exit_code_and_creates_nothing(office: Office) -> None:
    first = office.run("plan", "bursar.yaml")
    assert first.returncode == 2
    assert "version 1 will be made" in first.stdout
    assert "+ budget org added: per org, monthly 5,000 USD" in first.stdout
    assert office.bursar.left_behind() == set()
    office.apply()
    assert office.run("plan", "bursar.yaml").returncode == 0
    office.edit("5000", "6000")
    told = json.loads(office.run("plan", "bursar.yaml", "--json").stdout)
    assert (told["live_version"], told["next_version"]) == (1, 2)
    assert [change["text"] for change in told["changes"]] == ["budget org monthly 5,000 -> 6,000 USD"]


def test_every_error_of_plan_is_exit_code_1(office: Office) -> None:
    (office.bursar.folder / "bad.yaml").write_text(BAD)
    refused(office.run("plan", "bad.yaml"), 1, "bad.yaml, line ", "(and 1 more)\n  line 9: policies.0.effect", lines=2)
    refused(office.run("plan", "none.yaml"), 1, "none.yaml: cannot be read")
    for arguments in (["plan"], ["plan", "bursar.yaml", "--frobnicate"], ["plan", "bursar.yaml", "two"]):
        assert office.run(*arguments).returncode == 1
    office.settings = {"BURSAR_DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/x"}
    unreachable = office.run("plan", "bursar.yaml")
    refused(unreachable, 1, "cannot be used: connection failed")
    assert "secret" not in unreachable.stderr
    office.settings = {"BURSAR_HOLD_SECONDS": "soon"}
    refused(office.run("plan", "bursar.yaml"), 1, "BURSAR_HOLD_SECONDS: ")


def test_a_change_goes_from_export_to_apply_and_keeps_its_comments(office: Office) -> None:
    first = office.apply()
    assert "Version 1" in first.stdout
    assert first.stdout.endswith(
        "No server was told: BURSAR_REDIS_URL is not set and no private server runs in .bursar. "
        "Running services take version 1 up within 60 s.\n"
    )
    assert office.file.read_text() == COMMENTED, "a file that names no base is left alone"
    done = office.run("export", "--out", "current.yaml")
    assert done.returncode == 0
    office.file = office.bursar.folder / "current.yaml"
    assert office.file.read_text() == f"based_on: 1\n{COMMENTED}"
    assert office.run("plan", "current.yaml").returncode == 0
    office.edit("5000", "6000")
    office.file.chmod(0o640)
    again = office.run("apply", "current.yaml", "--reason", "more", "--author", "ada")
    assert again.returncode == 0
    assert "~ budget org monthly 5,000 -> 6,000 USD" in again.stdout
    assert office.file.read_text() == f"based_on: 2\n{COMMENTED.replace('5000', '6000')}"
    assert office.file.stat().st_mode & 0o777 == 0o640
    same = office.run("apply", "current.yaml", "--reason", "more")
    assert (same.returncode, same.stdout) == (0, "acme: no change; version 2 is live and means the same\n")
    assert office.run("export").stdout == office.file.read_text()
    refused(office.run("export", "--out", "current.yaml"), 2, "current.yaml exists; give --force")
    assert office.run("export", "--version", "1", "--out", "current.yaml", "--force").returncode == 0
    assert "5000" in office.file.read_text()
    assert json.loads(office.run("export", "--format", "json").stdout)["based_on"] == 2
    folder = office.bursar.folder
    for name, wanted in (("x.json", []), ("x.JSON", []), ("x.yaml", ["--format", "json"])):
        assert office.run("export", "--out", name, *wanted).returncode == 0
        assert json.loads((folder / name).read_text())["based_on"] == 2
    for name, wanted in (("x.yml", []), ("y.json", ["--format", "yaml"]), ("x.txt", [])):
        assert office.run("export", "--out", name, *wanted).returncode == 0
        assert (folder / name).read_text() == office.file.read_text().replace("based_on: 1", "based_on: 2").replace(
            "5000", "6000"
        )


def test_a_first_plan_is_all_additions_and_counts_them(office: Office) -> None:
    agents = "".join(f"  a{number:02}: {{provider: webhook}}\n" for number in range(40))
    zoned = COMMENTED.replace("organization: acme\n", "organization: acme\ntimezone: America/New_York\n")
    office.file.write_text(zoned.replace("agents:\n", f"agents:\n{agents}"))
    told = office.run("plan", "bursar.yaml").stdout.splitlines()
    assert told[1] == "  + timezone America/New_York"
    assert [line for line in told if " agent " in line] == [
        f"  + agent a{number:02} added: provider webhook" for number in range(10)
    ]
    assert told[12] == "  ... and 32 more agents"
    assert told[13].startswith("  + budget org added: ")
    assert "42 agents, 1 budget, 1 policy" in told
    assert len(json.loads(office.run("plan", "bursar.yaml", "--json").stdout)["changes"]) == 45


def test_what_is_probably_not_meant_is_shown_before_it_is_applied(office: Office) -> None:
    office.edit("effect: allow}", "effect: allow}\n  - {policy_id: never, effect: allow, priority: 90}")
    planned = [line for line in office.run("plan", "bursar.yaml").stdout.splitlines() if line.startswith("  ! ")]
    assert planned
    person = Terminal(office, "apply", "bursar.yaml", "--reason", "first", NO_COLOR="1")
    person.until("[y/N]")
    for line in planned:
        assert line in person.seen
    person.type("n\n")
    assert person.end() == 1
    applied = office.apply().stdout.splitlines()
    assert [line for line in applied if line.startswith("  ! ")] == planned
    office.edit("5000", "6000")
    office.apply("--base", "1")
    back = office.run("rollback", "1", "--reason", "back", "--yes").stdout.splitlines()
    assert [line for line in back if line.startswith("  ! ")] == planned


def test_findings_are_of_the_full_hour() -> None:
    document = parse_text(COMMENTED, "test").document
    seen: list[datetime] = []

    def lint(_document: Any, at: datetime, _book: Any) -> list[Any]:
        seen.append(at)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linting, "lint_document", lint)
        kolkata = timezone(timedelta(hours=5, minutes=30))
        linting.findings_of(document, datetime(2026, 11, 25, 20, 59, 59, 7, tzinfo=kolkata))
    assert seen == [datetime(2026, 11, 25, 15, tzinfo=UTC)]


def test_a_file_that_nobody_may_write_is_left_alone(office: Office) -> None:
    office.apply()
    office.edit("organization: acme", "organization: acme\nbased_on: 1")
    office.edit("5000", "6000")
    before = office.file.read_text()
    office.file.chmod(0o444)
    done = office.apply()
    assert done.stderr == "bursar.yaml is read-only: set based_on: 2 there yourself\n"
    assert "Version 2" in done.stdout
    assert (office.file.read_text(), office.file.stat().st_mode & 0o777) == (before, 0o444)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named_in_one_sentence(office: Office) -> None:
    office.file.chmod(0)
    for command in (["plan"], ["apply", "--reason", "x"]):
        done = office.run(*command, "bursar.yaml")
        refused(done, 1 if command == ["plan"] else 2, "bursar.yaml: cannot be read: Permission denied")
    assert office.run("validate", "bursar.yaml").stderr == "bursar.yaml: cannot be read: Permission denied\n"


def test_history_and_diff_tell_what_happened(office: Office) -> None:
    refused(office.run("history"), 2, "has no ledger yet; `bursar apply FILE` makes one")
    office.apply("--author", "ada")
    office.edit("5000", "6000")
    office.apply("--base", "1", "--author", "bob")
    lines = office.run("history").stdout.splitlines()
    assert re.fullmatch(r" +2  \d{4}-\d\d-\d\d \d\d:\d\d UTC  bob  a test  \(live\)", lines[0])
    assert re.fullmatch(r" +1  .* UTC  ada  a test", lines[1])
    told = json.loads(office.run("history", "--json", "--limit", "1").stdout)
    assert [(each["version"], each["author"], each["live"]) for each in told] == [(2, "bob", True)]
    assert "~ budget org monthly 5,000 -> 6,000 USD" in office.run("diff", "1").stdout
    assert "~ budget org monthly 6,000 -> 5,000 USD" in office.run("diff", "2", "1").stdout
    assert "mean the same" in office.run("diff", "2", "2").stdout
    refused(office.run("diff", "1", "9"), 2, "has no version 9")
    refused(office.run("history", "--org", "other"), 2, "--org: 'other' is not in this ledger, which has acme")
    office.edit("organization: acme", "organization: beta")
    for options in ([], ["--yes"]):
        typo = "'beta' has no version yet and this ledger already has acme: correct `organization` in bursar.yaml, or "
        refused(office.apply(*options, code=2), 2, typo + "give --base 0 to make another organization")
    assert "This ledger has acme already: apply makes another" in office.run("plan", "bursar.yaml").stdout
    person = Terminal(office, "apply", "bursar.yaml", "--reason", "new")
    person.until("Make version 1 of another organization, 'beta' beside acme live? [y/N]")
    person.type("n\n")
    assert person.end() == 1
    office.apply("--base", "0")
    office.edit("6000", "7000")
    assert "This ledger has" not in office.run("plan", "bursar.yaml").stdout
    office.apply("--base", "1")
    refused(office.run("history"), 2, "several organizations: acme, beta; choose one with --org")
    assert office.run("history", "--org", "beta").returncode == 0


def test_a_change_based_on_an_older_version_is_refused_and_shown_what_it_missed(office: Office) -> None:
    office.apply()
    mine = COMMENTED.replace("organization: acme", "organization: acme\nbased_on: 1").replace("gpt-4o", "gpt-4o-mini")
    (office.bursar.folder / "mine.yaml").write_text(mine)
    office.edit("5000", "6000")
    office.apply("--base", "1", "--author", "ada")
    done = office.run("apply", "mine.yaml", "--reason", "mine")
    assert (done.returncode, done.stdout) == (3, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("bursar: version 2 of the governance document of 'acme' is live, not 1: ada made it on 20")
    assert first.endswith("reason: a test")
    assert "  ~ budget org monthly 5,000 -> 6,000 USD" in rest
    assert "bursar diff 1 2" in done.stderr
    assert "bursar export" in done.stderr
    assert (office.bursar.folder / "mine.yaml").read_text() == mine
    assert "apply will refuse it" in office.run("plan", "mine.yaml").stdout
    assert office.run("apply", "mine.yaml", "--reason", "mine", "--base", "9").returncode == 3
    assert len(office.run("history").stdout.splitlines()) == 2


def test_without_a_base_and_a_person_nothing_is_applied(office: Office) -> None:
    office.apply()
    office.edit("5000", "6000")
    for options in ([], ["--yes"]):
        refused(office.apply(*options, code=2), 2, "add `based_on: 1` to it, or give --base 1")
    assert office.apply("--base", "1").returncode == 0


def test_bad_words_and_bad_files_change_nothing(office: Office) -> None:
    for reason in ("", " ", "two\nlines", "bell\a", "x" * 2001):
        refused(office.run("apply", "bursar.yaml", "--reason", reason), 2, "--reason: must")
    refused(office.apply("--author", "a\x1b[2Jb", code=2), 2, "--author: must be one line")
    refused(office.apply("--base", "-1", code=2), 2, "--base: must be")
    assert office.bursar.left_behind() == set()
    office.settings = {"BURSAR_REDIS_URL": "nonsense"}
    assert office.apply(code=2).stderr.endswith("use redis://host:6379/0 or unix:///path/to/socket\n")
    assert office.bursar.left_behind() == set()
    office.settings = {}
    office.apply()
    office.file.write_text(BAD)
    refused(office.apply("--base", "1", code=2), 2, "bursar.yaml, line ", "(and 1 more)\n  line 9: ", lines=2)
    many = "".join(f"  a{number}: {{provider: -1}}\n" for number in range(15))
    office.file.write_text(f"organization: acme\nagents:\n{many}")
    more = "  ... and 4 more; bursar validate bursar.yaml lists all\n"
    refused(office.apply("--base", "1", code=2), 2, "(and 14 more)\n  line 4: ", "\n  line 13: ", more, lines=12)
    assert len(office.run("history").stdout.splitlines()) == 1


def test_rollback_makes_a_new_version_of_an_old_one(office: Office) -> None:
    office.apply()
    office.edit("5000", "6000")
    office.apply("--base", "1")
    refused(office.run("rollback", "1", "--reason", "back"), 2, "give --yes")
    refused(office.run("rollback", "7", "--reason", "back", "--yes"), 2, "has no version 7")
    done = office.run("rollback", "1", "--reason", "back", "--yes")
    assert done.returncode == 0
    assert "~ budget org monthly 6,000 -> 5,000 USD" in done.stdout
    assert "Version 3" in done.stdout
    assert "# Acme: ask finance" in office.run("export").stdout
    assert "mean the same" in office.run("diff", "1", "3").stdout
    assert "no change" in office.run("rollback", "1", "--reason", "back", "--yes").stdout


def test_of_many_who_apply_at_once_one_wins(bursar: Any, database_url: str) -> None:
    office = Office(bursar, BURSAR_DATABASE_URL=database_url)
    office.apply()
    for number in range(4):
        text = COMMENTED.replace("5000", str(6000 + number)).replace("agents:", "based_on: 1\nagents:")
        (bursar.folder / f"{number}.yaml").write_text(text)
    started = [
        bursar.start("apply", f"{number}.yaml", "--reason", f"racer {number}", **office.settings) for number in range(4)
    ]
    told = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert sorted(code for _, code in told) == [0, 3, 3, 3], told
    winner = next(number for number, (_, code) in enumerate(told) if code == 0)
    assert "based_on: 2\n" in (bursar.folder / f"{winner}.yaml").read_text()
    for (_, stderr), code in told:
        assert code == 0 or f"reason: racer {winner}" in stderr
    with closing(Database(database_url)) as database, database.read() as connection:
        assert live_document(connection, "acme").document == read_document(bursar.folder / f"{winner}.yaml")
        assert len(version_history(connection, "acme")) == 2


def test_a_lowered_limit_denies_the_next_call_of_a_service_that_runs(
    bursar: Any, sqlite_url: str, valkey_url: str
) -> None:
    office = Office(bursar, BURSAR_DATABASE_URL=sqlite_url, BURSAR_REDIS_URL=valkey_url)
    assert "Version 1 is in force everywhere now." in office.apply().stdout
    settings = Settings(
        database_url=sqlite_url, redis_url=valkey_url, state_dir=bursar.folder / "state", redis_timeout_seconds=5,
        rebuild_patience_seconds=10,
    )  # fmt: skip
    with GovernanceService.from_document(office.file, settings=settings) as service:
        assert service.check("copilot", estimated_cost=10).allowed
        office.edit("5000", "15")
        assert "Version 2 is in force everywhere now." in office.apply("--base", "1").stdout
        denied = service.check("copilot", estimated_cost=10)
        assert (denied.allowed, denied.reason.value) == (False, "budget_monthly_cost")
        assert service.document.version == 2
        worker = bursar.start("worker", **office.settings)
        worker.stdout.readline()
        raised = office.run("rollback", "1", "--reason", "back", "--yes")
        assert "Version 3 is in force everywhere now." in raised.stdout, raised.stderr
        assert service.check("copilot", estimated_cost=10).allowed


def test_the_private_server_of_a_service_is_told_too(office: Office) -> None:
    office.apply()
    settings = Settings(state_dir=office.bursar.folder / ".bursar", redis_timeout_seconds=5)
    with GovernanceService.from_document(office.file, settings=settings) as service:
        office.edit("5000", "0")
        assert "Version 2 is in force everywhere now." in office.apply("--base", "1").stdout
        assert not service.check("copilot", estimated_cost=1).allowed


def test_a_redis_that_does_not_answer_is_said_plainly(office: Office) -> None:
    office.settings = {"BURSAR_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = office.apply()
    assert "Redis does not answer: services take version 1 up within 60 s." in done.stdout
    assert "Version 1 of the governance document of acme is made." in done.stdout


class Terminal:
    """The command with a person in front of it."""

    def __init__(self, office: Office, *arguments: str, **settings: str) -> None:
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bursar", *arguments],
            stdin=other, stdout=other, stderr=other, start_new_session=True,
            **{**office.bursar._how({**office.settings, **settings}), "text": False},
        )  # fmt: skip
        os.close(other)
        office.bursar.started.append(self.process)
        self.seen = ""

    def until(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.seen and time.monotonic() < deadline and self._read():
            pass
        assert words in self.seen

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        code = self.process.wait(60)
        os.close(self._own)
        return code

    def _read(self) -> bool:
        ready, _, _ = select.select([self._own], [], [], 60)
        try:
            data = os.read(self._own, 65536) if ready else b""
        except OSError:
            return False
        self.seen += data.decode()
        return bool(data)


def test_a_person_sees_the_plan_and_is_asked(office: Office) -> None:
    office.apply()
    office.edit("5000", "6000")
    for answer, code in (("n\n", 1), ("\n", 1)):
        person = Terminal(office, "apply", "bursar.yaml", "--reason", "more", NO_COLOR="1")
        person.until("Make version 2 live? [y/N]")
        assert "~ budget org monthly 5,000 -> 6,000 USD" in person.seen
        assert "\x1b[" not in person.seen
        person.type(answer)
        assert person.end() == code
        assert "Nothing was changed." in person.seen
    assert len(office.run("history").stdout.splitlines()) == 1
    person = Terminal(office, "apply", "bursar.yaml", "--reason", "more")
    person.until("[y/N]")
    person.type("y\n")
    assert person.end() == 0
    assert len(office.run("history").stdout.splitlines()) == 2


def test_who_waits_too_long_with_the_answer_is_refused(office: Office) -> None:
    office.apply()
    office.edit("5000", "6000")
    person = Terminal(office, "apply", "bursar.yaml", "--reason", "more")
    person.until("[y/N]")
    (office.bursar.folder / "other.yaml").write_text(COMMENTED.replace("5000", "7000"))
    assert office.run("apply", "other.yaml", "--reason", "faster", "--base", "1").returncode == 0
    person.type("y\n")
    assert person.end() == 3
    assert "reason: faster" in person.seen
    assert len(office.run("history").stdout.splitlines()) == 2


def test_ctrl_c_at_the_question_changes_nothing(office: Office) -> None:
    office.apply()
    office.edit("5000", "6000")
    person = Terminal(office, "apply", "bursar.yaml", "--reason", "more")
    person.until("[y/N]")
    os.killpg(person.process.pid, 2)
    assert person.end() == 130
    assert "Traceback" not in person.seen
    assert person.seen.endswith("[y/N] \r\nNothing was changed.\r\n")
    assert len(office.run("history").stdout.splitlines()) == 1
