"""`bursar audit`: a proof, a signed head, and who changed what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from engine.clock import utc_now
from engine.errors import DatabaseError
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.retention import drop_old
from engine.ledger.tables import decisions, events, organizations
from tests.integration.bursar.test_governing import Office, refused
from tests.support.chained import write_months
from tests.support.ledger_copies import LedgerCopies

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11)]


@pytest.fixture
def office(request: pytest.FixtureRequest, bursar: Any, ledger_copies: LedgerCopies) -> Office:
    on_postgres = getattr(request, "param", "sqlite") == "postgres"
    settings = {"BURSAR_DATABASE_URL": request.getfixturevalue("postgres_url")} if on_postgres else {}
    office = Office(bursar, **settings)
    office.begin(ledger_copies)
    return office


on_each = pytest.mark.parametrize("office", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def database(office: Office) -> Iterator[Database]:
    url = office.settings.get("BURSAR_DATABASE_URL", f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")
    with closing(Database(url)) as opened:
        write_months(opened, MONTHS)
        yield opened


def kept_head(office: Office) -> Path:
    done = office.run("audit", "head")
    assert done.returncode == 0, done.stderr
    path: Path = office.bursar.folder / "head.json"
    path.write_text(done.stdout)
    return path


def trace(office: Office) -> Path:
    """Three calls to replay."""
    path: Path = office.bursar.folder / "trace.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        + "".join(f"2023-11-16 18:17:0{second}.0000000,100,10\n" for second in range(3))
    )
    return path


def wrong(done: Any, message: str) -> None:
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == f"acme: WRONG: {message}"


@pytest.mark.parametrize("command", ["verify", "head", "show"])
def test_every_command_has_help_with_an_example(bursar: Any, command: str) -> None:
    done = bursar.run("audit", command, "--help")
    assert done.returncode == 0
    assert f"Example: bursar audit {command}" in done.stdout


@on_each
def test_a_ledger_as_it_was_written_is_proved(office: Office, database: Database) -> None:
    done = office.run("audit", "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "acme: proved: 60 events, 1 to 60, are as they were written",
        "acme: proved: 1 audit entry is as it was written",
        "acme: 1 document and price book version is what its audit entry says",
        "Whether later events were cut off shows only against a head kept elsewhere: bursar audit head",
    ]
    part = office.run("audit", "verify", "--from", "2026-09-21", "--to", "2026-10-01", "--json")
    told = json.loads(part.stdout)
    assert (told["proved"], told["from"], told["to"], told["events"], told["finding"]) == (True, 11, 30, 20, None)
    assert json.loads(office.run("audit", "verify", "--from", "59", "--json").stdout)["events"] == 2


def test_the_first_event_that_is_wrong_is_named(office: Office, database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(events).where(events.c.seq == 33).values(payload={"m": "1"}))
        connection.execute(delete(events).where(events.c.seq == 44))
    message = "event 33 does not have the hash of its content: it was changed, or event 32 together with its hash"
    wrong(office.run("audit", "verify"), message)
    wrong(office.run("audit", "verify", "--from", "34"), "event 44 is missing")
    told = office.run("audit", "verify", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["finding"] == {"seq": 33, "problem": "edited", "message": message}


@on_each
def test_a_cut_off_end_is_found_against_a_head(office: Office, database: Database) -> None:
    kept_head(office)
    same = office.run("audit", "verify", "--against", "head.json")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.splitlines()[-1].endswith("(event 60) is in this chain")
    with database.write() as connection:
        connection.execute(delete(events).where(events.c.seq > 40))
        connection.execute(text("DELETE FROM event_partitions WHERE partition = '2026-11'"))
        last = text("UPDATE organizations SET next_seq = 41, chain_hash = (SELECT hash FROM events WHERE seq = 40)")
        connection.execute(last)
    assert office.run("audit", "verify").returncode == 0
    wrong(
        office.run("audit", "verify", "--against", "head.json"),
        "the ledger ends at event 40, but the head knows event 60: its end was cut off",
    )


def test_a_head_is_small_signed_and_for_its_owner(office: Office, database: Database) -> None:
    done = office.run("audit", "head", "--json")
    key = office.bursar.folder / ".bursar" / "audit-key.pem"
    assert done.stderr == "Signed with a new key, .bursar/audit-key.pem: keep a copy of it\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(done.stdout) < 600
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert (told["format"], told["org"], told["seq"], len(told["hash"])) == ("bursar-head-2", "acme", 60, 64)
    assert office.run("audit", "head", "--json").stderr == ""
    key.chmod(0o644)
    refused(office.run("audit", "head"), 2, "BURSAR_AUDIT_KEY: others may read .bursar/audit-key.pem")


def test_a_head_that_was_changed_or_signed_by_others_says_so(office: Office, database: Database) -> None:
    path = kept_head(office)
    own = path.read_text()
    path.write_text(own.replace('"seq": 60', '"seq": 59'))
    wrong(
        office.run("audit", "verify", "--against", "head.json"),
        "the signature does not fit the head: the file was changed after it was signed",
    )
    path.write_text(own)
    (office.bursar.folder / "keys").mkdir()
    office.settings["BURSAR_AUDIT_KEY"] = "keys/other.pem"
    assert office.run("audit", "head").returncode == 0
    wrong(
        office.run("audit", "verify", "--against", "head.json"),
        "the head was signed with another key than keys/other.pem; "
        "if that was a key of yours before, name its public half: --key FILE",
    )


def test_an_auditor_needs_the_public_half_of_the_key_only(office: Office, database: Database) -> None:
    done = office.run("audit", "head", "--public-key", "public.pem")
    folder = office.bursar.folder
    (folder / "head.json").write_text(done.stdout)
    assert (folder / "public.pem").read_text().startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "Wrote public.pem, the public half of the key: for audit verify --key" in done.stderr
    # Again is no harm, and another key's file is left alone.
    assert office.run("audit", "head", "--public-key", "public.pem").returncode == 0
    office.settings["BURSAR_AUDIT_KEY"] = "gone.pem"
    proved = office.run("audit", "verify", "--against", "head.json", "--key", "public.pem")
    assert (proved.returncode, proved.stderr) == (0, "")
    assert proved.stdout.splitlines()[-1].endswith("(event 60) is in this chain")
    told = json.loads(office.run("audit", "verify", "--against", "head.json", "--key", "public.pem", "--json").stdout)
    assert (told["proved"], told["signature_checked"], told["warning"]) == (True, True, None)

    office.settings["BURSAR_AUDIT_KEY"] = "other.pem"
    refused(office.run("audit", "head", "--public-key", "public.pem"), 2, "--public-key: public.pem is there already")
    assert office.run("audit", "head", "--public-key", "other-public.pem").returncode == 0
    message = "the head was signed with another key than other-public.pem"
    wrong(office.run("audit", "verify", "--against", "head.json", "--key", "other-public.pem"), message)
    told = json.loads(
        office.run("audit", "verify", "--against", "head.json", "--key", "other-public.pem", "--json").stdout
    )
    assert (told["proved"], told["finding"]["problem"], told["finding"]["message"]) == (False, "signature", message)
    # The named key counts, not the one that lies here.
    assert office.run("audit", "verify", "--against", "head.json", "--key", "public.pem").returncode == 0
    # A forger who signs anew with a key of his own, and one who puts the right public key to it.
    forged = json.loads(office.run("audit", "head", "--json").stdout)
    forged["public_key"] = json.loads((folder / "head.json").read_text())["public_key"]
    (folder / "head.json").write_text(json.dumps(forged))
    wrong(
        office.run("audit", "verify", "--against", "head.json", "--key", "public.pem"),
        "the signature does not fit the head: the file was changed after it was signed",
    )


def test_without_a_key_the_hash_is_compared_and_a_warning_says_what_is_not(office: Office, database: Database) -> None:
    kept_head(office)
    office.settings["BURSAR_AUDIT_KEY"] = "gone.pem"
    warning = (
        "the signature was not checked: there is no gone.pem here; name the public half of the key with --key FILE. "
        "Whoever could change head.json could have signed it"
    )
    done = office.run("audit", "verify", "--against", "head.json")
    assert (done.returncode, done.stderr) == (0, f"warning: {warning}\n")
    told = json.loads(office.run("audit", "verify", "--against", "head.json", "--json").stdout)
    assert (told["proved"], told["signature_checked"], told["warning"]) == (True, False, warning)
    assert json.loads(office.run("audit", "verify", "--json").stdout)["signature_checked"] is None
    with database.write() as connection:
        connection.execute(delete(events).where(events.c.seq == 60))
    assert office.run("audit", "verify", "--against", "head.json").returncode == 1


def test_a_key_that_cannot_be_used_is_an_error(office: Office, database: Database) -> None:
    kept_head(office)
    for key, words in (
        ("none.pem", "--key: none.pem cannot be read: No such file"),
        ("bursar.yaml", "--key: bursar.yaml is not an Ed25519 public key in PEM"),
        (".", "--key: . cannot be read: Is a directory"),
    ):
        refused(office.run("audit", "verify", "--against", "head.json", "--key", key), 2, words)
    refused(office.run("audit", "verify", "--key", "none.pem"), 2, "--key: is for the head of --against FILE")
    refused(office.run("audit", "head", "--public-key", "no/dir.pem"), 2, "--public-key: no/dir.pem cannot be written")


def test_days_far_away_are_understood(office: Office, database: Database) -> None:
    for how in (
        ("--to", "9999-12-31"),
        ("--from", "0001-01-01"),
        ("--to", "9999-12-31T23:59:59-05:00"),
        ("--from", "0001-01-01T00:00:00+05:00"),
        ("--from", "0001-01-01", "--to", "9999-12-31"),
    ):
        done = office.run("audit", "verify", *how)
        assert (done.returncode, done.stderr) == (0, ""), how
        assert done.stdout.splitlines()[0] == "acme: proved: 60 events, 1 to 60, are as they were written"
    for option, value, words in (
        ("--from", "9999-12-31", "--from: nothing was written since 9999-12-31 00:00 UTC; the last event is 60"),
        ("--to", "1900-01-01", "--to: nothing was written before 1900-01-02 00:00 UTC"),
        ("--to", "9" * 30, f"--to: there is no event {'9' * 30}; the last event is 60"),
        ("--from", "9" * 30, f"--from: there is no event {'9' * 30}; the last event is 60"),
    ):
        refused(office.run("audit", "verify", option, value), 2, words)


def test_a_day_without_dashes_is_a_number_and_says_so(office: Office, database: Database) -> None:
    refused(
        office.run("audit", "verify", "--from", "20261101"),
        2,
        "--from: there is no event 20261101; the last event is 60. For the day write 2026-11-01",
    )
    refused(
        office.run("audit", "verify", "--to", "20261101"),
        2,
        "--to: there is no event 20261101; the last event is 60. For the day write 2026-11-01",
    )
    refused(office.run("audit", "verify", "--from", "20261399"), 2, "there is no event 20261399; the last event is 60")
    refused(office.run("audit", "verify", "--to", "61"), 2, "--to: there is no event 61; the last event is 60")


@on_each
def test_a_hole_at_the_edge_of_the_days_asked_for_is_found(office: Office, database: Database) -> None:
    with database.write() as connection:
        connection.execute(delete(events).where(events.c.seq.between(21, 40)))
    message = "2026-10 is gone, events 21 to 40, and nothing says that it was dropped"
    for how in (("--from", "2026-10-01"), ("--to", "2026-10-31"), ("--from", "2026-10-01", "--to", "2026-10-31")):
        wrong(office.run("audit", "verify", *how), message)


def test_what_cannot_be_looked_at_is_an_error(office: Office, database: Database) -> None:
    for option, value, words in (
        ("--from", "x", "--from: must be a number, a date such as 2026-11-25"),
        ("--to", "2026-11-25T00:00:00", "--to: must be a number, a date"),
        ("--from", "61", "--from: there is no event 61; the last event is 60"),
        ("--against", "none.json", "--against: none.json cannot be read: No such file"),
        ("--against", "bursar.yaml", "--against: bursar.yaml is not a head from `bursar audit head`"),
        ("--org", "other", "--org: 'other' is not in this ledger"),
    ):
        refused(office.run("audit", "verify", option, value), 2, words)


def test_a_head_names_its_organization(office: Office, database: Database) -> None:
    kept_head(office)
    with database.write() as connection:
        connection.execute(insert(organizations).values(org_id="other", created_at=utc_now()))
    refused(office.run("audit", "verify", "--json"), 2, "several organizations: acme, other; choose one with --org")
    refused(office.run("audit", "head"), 2, "several organizations: acme, other; choose one with --org")
    assert office.run("audit", "verify", "--against", "head.json").returncode == 0
    refused(office.run("audit", "verify", "--org", "other", "--against", "head.json"), 2, "this head is of acme")
    empty = office.run("audit", "verify", "--org", "other")
    assert empty.stdout.splitlines()[0] == "other: proved: there are no events"


@on_each
def test_what_was_dropped_is_told(office: Office, database: Database) -> None:
    drop_old(database, 1, datetime(2026, 11, 25, 12, tzinfo=UTC))
    done = office.run("audit", "verify")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (
        0,
        [
            "2026-09: events 1 to 20 were dropped on 2026-11-25 12:00 UTC",
            "acme: proved: 40 events, 21 to 60, are as they were written",
        ],
    )
    shown = office.run("audit", "show")
    first, details, *_ = shown.stdout.splitlines()
    assert first == "   2  2026-11-25 12:00 UTC  bursar  ledger.drop before 2026-10  BURSAR_RETENTION_MONTHS is 1"
    assert details.startswith("      decisions 0, events 20, first_seq 1, last_hash ")


def test_audit_entries_are_listed_newest_first_page_by_page(office: Office, database: Database) -> None:
    (applied, _) = office.run("audit", "show").stdout.splitlines()
    assert applied.endswith("document.apply version 1  a test")
    with database.write() as connection:
        for number in range(2, 8):
            entry = AuditEntry(MONTHS[0], f"ada{number}", "prices.set", "gpt-4o", "a\x1b[31m reason", {"n": number})
            record_audit(connection, "acme", entry)
    lines = office.run("audit", "show", "--limit", "3").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["7", "n", "6", "n", "5", "n"]
    assert "\x1b" not in lines[0]
    told = json.loads(office.run("audit", "show", "--before", "5", "--limit", "2", "--json").stdout)
    assert [(entry["entry"], entry["details"]) for entry in told] == [(4, {"n": 4}), (3, {"n": 3})]
    assert office.run("audit", "show", "--before", "1").stdout == "acme has no such audit entry\n"


def test_every_organization_is_verified_unless_one_is_named(office: Office, database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(organizations).values(org_id="other", created_at=utc_now()))
    write_months(database, MONTHS[:1], org_id="other")
    done = office.run("audit", "verify")
    proved = [line.split(":")[0] for line in done.stdout.splitlines() if "events" in line and "proved" in line]
    assert (done.returncode, proved) == (0, ["acme", "other"])
    with database.write() as connection:
        connection.execute(delete(events).where(events.c.org_id == "acme", events.c.seq == 7))
    done = office.run("audit", "verify")
    assert done.returncode == 1
    assert "acme: WRONG: event 7" in done.stdout
    assert "other: proved: 20 events" in done.stdout
    assert office.run("audit", "verify", "--org", "other").returncode == 0


def test_a_changed_decision_is_found_when_decisions_are_compared(office: Office) -> None:
    governed = office.run(
        "replay", str(trace(office)), "--document", "bursar.yaml", "--agent", "coder", "--speed", "max",
        "--state-dir", ".bursar", "--json",
    )  # fmt: skip
    assert (governed.returncode, json.loads(governed.stdout)["ledger_rows"]) == (0, 3), governed.stderr
    done = office.run("audit", "verify", "--decisions")
    assert done.returncode == 0, done.stderr
    assert "acme: 3 decisions say what their events say" in done.stdout
    url = f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}"
    with closing(Database(url)) as opened, opened.write() as connection:
        connection.execute(update(decisions).values(spent_micros=1))
    assert office.run("audit", "verify").returncode == 0
    done = office.run("audit", "verify", "--decisions")
    assert done.returncode == 1
    assert "its spent_micros is 1; its events say " in done.stdout
    told = json.loads(office.run("audit", "verify", "--decisions", "--json").stdout)
    assert (told["proved"], told["finding"]["problem"]) == (False, "decision")


def test_an_auditors_copy_needs_no_right_to_write_and_stays_as_it_is(office: Office, database: Database) -> None:
    database.close()
    folder = office.bursar.folder / ".bursar"
    kept_head(office)
    before = (folder / "ledger.db").read_bytes()
    with database.read() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    with closing(Database(f"sqlite:///{folder / 'ledger.db'}", read_only=True)) as looked_at:
        with pytest.raises(DatabaseError, match="readonly"), looked_at.write() as connection:
            connection.execute(delete(events))
        with looked_at.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 60
    assert office.run("audit", "verify", "--against", "head.json").returncode == 0
    assert (folder / "ledger.db").read_bytes() == before


def test_looking_does_not_bring_an_older_ledger_up_to_date(office: Office, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    for command in ("verify", "head", "show"):
        refused(
            office.run("audit", command), 2, "has tables of version 0004; bring it up to date with `bursar migrate`"
        )
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0004"


def test_a_mistyped_key_makes_no_directories(office: Office, database: Database) -> None:
    office.settings["BURSAR_AUDIT_KEY"] = str(office.bursar.folder / "nowhere" / "key.pem")
    refused(office.run("audit", "head"), 2, "BURSAR_AUDIT_KEY: ")
    assert not (office.bursar.folder / "nowhere").exists()


def test_without_a_ledger_there_is_nothing_to_prove(bursar: Any) -> None:
    for command in ("verify", "head", "show"):
        refused(Office(bursar).run("audit", command), 2, "has no ledger yet")
    assert bursar.left_behind() == set()


@on_each
def test_the_audit_log_is_proved_with_the_events(office: Office, database: Database) -> None:
    log_three(database)
    done = office.run("audit", "verify")
    assert (done.returncode, done.stdout.splitlines()[1]) == (
        0,
        "acme: proved: 4 audit entries are as they were written",
    )
    assert json.loads(office.run("audit", "verify", "--json").stdout)["audit_entries"] == 4
    assert json.loads(office.run("audit", "verify", "--from", "2", "--json").stdout)["audit_entries"] is None
    let_change(database)
    with database.write() as connection:
        connection.execute(text("UPDATE audit_log SET author = 'eve' WHERE entry = 2"))
    message = (
        "audit entry 2 does not have the hash of its content: it was changed, or the one before it together with its "
        "hash"
    )
    done = office.run("audit", "verify")
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"acme: WRONG: {message}")
    told = json.loads(office.run("audit", "verify", "--json").stdout)
    assert (told["proved"], told["finding"]) == (False, {"entry": 2, "problem": "audit", "message": message})


def test_a_cut_off_audit_log_is_found_against_a_head(office: Office, database: Database) -> None:
    log_three(database)
    kept_head(office)
    assert office.run("audit", "verify", "--against", "head.json").returncode == 0
    let_change(database)
    with database.write() as connection:
        connection.execute(text("DELETE FROM audit_log WHERE entry = 4"))
        last = "(SELECT hash FROM audit_log WHERE entry = 3)"
        connection.execute(text(f"UPDATE organizations SET audit_entries = 3, audit_hash = {last}"))
    assert office.run("audit", "verify").returncode == 0
    done = office.run("audit", "verify", "--against", "head.json")
    cut = "acme: WRONG: the audit log ends at entry 3, but the head knows entry 4: its end was cut off"
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, cut)


def test_a_version_that_was_changed_past_bursar_is_found(office: Office, database: Database) -> None:
    done = office.run("audit", "verify")
    assert (done.returncode, done.stdout.splitlines()[2]) == (
        0,
        "acme: 1 document and price book version is what its audit entry says",
    )
    assert json.loads(office.run("audit", "verify", "--json").stdout)["versions"] == 1
    let_change(database, "document_versions")
    with database.write() as connection:
        connection.execute(text('UPDATE document_versions SET content = \'{"organization": "acme"}\''))
    message = "version 1 of the document is not the one that was made: it was changed"
    done = office.run("audit", "verify")
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"acme: WRONG: {message}")
    told = json.loads(office.run("audit", "verify", "--json").stdout)
    assert (told["proved"], told["finding"]) == (False, {"problem": "version", "message": message})


def log_three(database: Database) -> None:
    with database.write() as connection:
        for number in range(1, 4):
            record_audit(connection, "acme", AuditEntry(MONTHS[0], "ada", "prices.set", "gpt-4o", "r", {"n": number}))


def let_change(database: Database, table: str = "audit_log") -> None:
    """What somebody with the database does first."""
    with database.write() as connection:
        if database.is_sqlite:
            for what in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_{what}"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
