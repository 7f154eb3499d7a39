"""`bursar decisions export`: complete, in order, harmless in a spreadsheet, audited, and no half file."""

from __future__ import annotations

import csv
import io
import os
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bursar.export.places import opened
from engine.csv_text import harmless
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.decisions_file import header
from engine.ledger.queries.decision_filter import DecisionFilter
from engine.ledger.tables import decisions
from tests.integration.bursar.conftest import CommandLine
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import SeededLedger, seed_ledger

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
START = "2026-11-01"


@dataclass
class Exported:
    """A seeded ledger and the command line that works on it."""

    ledger: SeededLedger
    database: Database
    bursar: CommandLine
    url: str

    def run(self, *arguments: str, code: int = 0) -> Any:
        done = self.bursar.run("decisions", "export", *arguments, BURSAR_DATABASE_URL=self.url)
        assert done.returncode == code, done.stderr
        return done

    def audited(self) -> list[Any]:
        with self.database.read() as connection:
            return [row for row in audit_entries(connection, "acme") if row.action == "decisions.export"]


def lived(database: Database) -> SeededLedger:
    ledger = seed_ledger(database, now=NOW, days=30, per_day=20)
    document = parse_document({"organization": "acme", "policies": [{"policy_id": "go", "effect": "allow"}]}, "test")
    publish_document(database, document, author="test", reason="test")
    return ledger


@pytest.fixture
def exported(bursar: CommandLine, database_url: str, ledger_copies: LedgerCopies) -> Iterator[Exported]:
    ledger = ledger_copies.put(database_url, lived)
    with closing(Database(database_url)) as database:
        yield Exported(ledger, database, bursar, database_url)


def _expected(ledger: SeededLedger, **wanted: str) -> list[dict[str, Any]]:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    return [
        row
        for row in ledger.decisions
        if row["at"] >= start and all(row[name] == value for name, value in wanted.items())
    ]


def test_a_file_has_every_decision_once_oldest_first_and_exact(exported: Exported, tmp_path: Path) -> None:
    done = exported.run("--from", START, "--out", str(tmp_path / "all.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text(encoding="utf-8"))))
    expected = _expected(exported.ledger)
    assert [row["decision_id"] for row in rows] == [row["decision_id"] for row in expected]
    assert f"{len(expected):,} decisions" in done.stdout
    assert list(rows[0]) == header()
    for got, kept in zip(rows, expected, strict=True):
        assert Decimal(got["estimate_usd"]) * 1_000_000 == kept["estimate_micros"]
        assert "E" not in got["estimate_usd"]
        assert got["actual_usd"] == "" if kept["actual_micros"] is None else Decimal(got["actual_usd"]) > 0
        assert got["at"].endswith("Z")
        assert datetime.fromisoformat(got["at"]) == kept["at"]
        assert got["success"] == {None: "", True: "true", False: "false"}[kept["success"]]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--outcome", "denied"], {"outcome": "denied"}),
        (["--agent", "copilot_hr", "--user", "user-001"], {"agent_id": "copilot_hr", "user_id": "user-001"}),
        (["--team", "", "--provider", "webhook"], {"team_id": "", "provider": "webhook"}),
        (["--reason-code", "policy_deny", "--policy", "block_dev"], {"reason": "policy_deny"}),
    ],
)
def test_filters_are_kept_and_audited_before_the_rows(
    exported: Exported, arguments: list[str], wanted: dict[str, str]
) -> None:
    done = exported.run("--from", START, *arguments, "--author", "ann", "--reason", "quarterly audit")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    expected = _expected(exported.ledger, **wanted)
    assert [row["decision_id"] for row in rows] == [row["decision_id"] for row in expected]
    [entry] = exported.audited()
    assert (entry.author, entry.reason, entry.subject) == ("ann", "quarterly audit", "standard output")
    assert entry.details["rows"] == len(expected)
    assert entry.details["start"] == "2026-11-01T00:00:00+00:00"
    assert wanted.items() <= entry.details.items()


def test_a_formula_stays_text(exported: Exported) -> None:
    wild = exported.ledger.decisions[-1]
    with exported.database.write() as connection:
        connection.execute(
            update(decisions)
            .where(decisions.c.decision_id == wild["decision_id"])
            .values(message='=HYPERLINK("http://x","y")', user_id="@me")
        )
    rows = list(csv.DictReader(io.StringIO(exported.run("--from", START).stdout)))
    assert (rows[-1]["message"], rows[-1]["user_id"]) == ('\'=HYPERLINK("http://x","y")', "'@me")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_whatever_a_spreadsheet_calculates_is_made_harmless(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "plain", "a=1", "1-1", "user@example.com"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "yesterday"], "--from"),
        (["--from", "2026-11-01T09:00"], "zone"),
        (["--from", "2999-01-01"], "--from"),
        (["--from", "0001-01-01T00:00+14:00"], "--from: must be a date or time"),
        (["--from", START, "--to", "9999-12-31T23:59-14:00"], "--to: must be a date or time"),
        (["--from", START, "--out", "bursar.yaml"], "bursar.yaml exists; give --force to replace it"),
        (["--from", START, "--to", "2026-10-01"], "--from"),
        (["--from", START, "--agent", "a b"], "--agent"),
        (["--from", START, "--reason-code", "mood"], "--reason-code"),
        (["--from", START, "--out", "no/such/folder.csv"], "folder.csv"),
        (["--from", START, "--out", "."], "directory"),
        (["--from", START, "--org", "globex"], "globex"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_no_trace(
    exported: Exported, arguments: list[str], words: str
) -> None:
    done = exported.run(*arguments, code=2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert exported.audited() == []
    assert exported.bursar.left_behind() <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_export_that_is_stopped_leaves_the_file_from_before(
    exported: Exported, tmp_path: Path, ending: signal.Signals
) -> None:
    out = tmp_path / "all.csv"
    out.write_text("from before")
    # Stopped while it reads its first batch, which here takes long.
    slow = "import engine.ledger.decisions_file as e, time, sys; real = e.decision_batch\n"
    slow += "def wait(*a, **k):\n    print('reading', flush=True); time.sleep(30); return real(*a, **k)\n"
    slow += "e.decision_batch = wait\nfrom bursar.cli import main\nmain()\n"
    (tmp_path / "slow.py").write_text(slow)
    arguments = ["decisions", "export", "--from", START, "--force", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "slow.py", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **exported.bursar._how({"BURSAR_DATABASE_URL": exported.url}),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        assert len(list(tmp_path.glob(".all.csv.*.partial"))) == 1
        process.send_signal(ending)
        process.communicate(timeout=20)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[ending]
    assert out.read_text() == "from before"
    assert list(tmp_path.glob(".all.csv.*")) == []
    assert len(exported.audited()) == 1, "who began to export is known"


def test_a_reader_that_has_seen_enough_is_no_error(exported: Exported) -> None:
    process = exported.bursar.start("decisions", "export", "--from", START, BURSAR_DATABASE_URL=exported.url)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (0, "")


def test_an_empty_range_is_a_file_with_a_head(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "none.csv"
    exported.run("--from", "2020-01-01", "--to", "2020-02-01", "--out", str(out))
    assert out.read_text().splitlines() == [",".join(header())]
    assert out.stat().st_mode & 0o777 == 0o600
    assert exported.audited()[0].details["rows"] == 0


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_is_replaced_only_when_that_is_asked_for(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    out.write_text("from before")
    exported.run("--from", START, "--out", str(out), code=2)
    assert out.read_text() == "from before"
    exported.run("--from", START, "--out", str(out), "--force")
    assert len(_rows(out.read_text(encoding="utf-8"))) == len(_expected(exported.ledger))


@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_points_to_is_written_and_the_link_stays(exported: Exported, tmp_path: Path, there: bool) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "real.csv", tmp_path / "link.csv"
    link.symlink_to(Path("kept") / "real.csv")
    if there:
        target.write_text("from before")
    exported.run("--from", START, "--out", str(link), "--force")
    assert link.is_symlink()
    assert len(_rows(target.read_text(encoding="utf-8"))) == len(_expected(exported.ledger))
    assert [path.name for path in target.parent.iterdir()] == ["real.csv"]


def test_links_in_a_circle_are_a_sentence(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    done = exported.run("--from", START, "--out", str(tmp_path / "a"), code=2)
    assert "cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_stays_a_pipe_and_gets_the_rows(exported: Exported, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = exported.bursar.start(
        "decisions", "export", "--from", START, "--out", str(pipe), BURSAR_DATABASE_URL=exported.url
    )
    read = pipe.read_text(encoding="utf-8")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert f"written to {pipe}" in out
    assert len(_rows(read)) == len(_expected(exported.ledger))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    [entry] = exported.audited()
    assert entry.subject == "pipe"


def test_a_device_stays_a_device_and_its_error_names_it(exported: Exported) -> None:
    exported.run("--from", START, "--out", "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    full = exported.run("--from", START, "--out", "/dev/full", code=2)
    assert full.stderr == "bursar: /dev/full: cannot be written: No space left on device\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_dash_is_standard_output(exported: Exported, name: str) -> None:
    done = exported.run("--from", START, "--out", name)
    assert len(_rows(done.stdout)) == len(_expected(exported.ledger))
    assert exported.bursar.left_behind() <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    [entry] = exported.audited()
    assert entry.subject == "standard output"


def test_a_file_is_not_blamed_for_what_goes_wrong_elsewhere(tmp_path: Path) -> None:
    def export() -> None:
        with opened(tmp_path / "all.csv", force=False) as sink:
            sink.write("a")
            raise ConnectionResetError("of the database")

    with pytest.raises(ConnectionResetError, match="of the database"):
        export()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_ledger(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    from bursar.export import exporting
    from engine.ledger import decisions_file

    class Nowhere:
        def write(self, text: str, /) -> None:
            del text

        def flush(self) -> None:
            pass

    def peak(days: int) -> tuple[int, int]:
        wanted = DecisionFilter(start=NOW - timedelta(days=days), end=NOW + timedelta(days=1))
        sizes: list[int] = []
        exporting._write(exported.database, "acme", wanted, Nowhere(), sizes.append)  # warms up what is kept
        tracemalloc.start()
        try:
            written = exporting._write(exported.database, "acme", wanted, Nowhere(), sizes.append)
            return written, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(decisions_file, "BATCH", 25)
    few, peak_of_few = peak(3)
    many, peak_of_many = peak(60)
    assert many == len(exported.ledger.decisions) > 4 * few > 4 * decisions_file.BATCH
    # A tenth more is what it is kept in; with the text of all rows, it was more than half.
    assert peak_of_many < 1.3 * peak_of_few
