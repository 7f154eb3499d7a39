"""`bursar seed` as a person uses it, on both kinds of database."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bursar.seed import AUTHOR
from engine.admission.keys import events_key
from engine.ledger.database import Database
from engine.ledger.tables import decisions, events, organizations
from tests.integration.bursar.conftest import DOCUMENT

UNTIL = ("--until", "2026-01-20T15:00:00Z")
SMALL = ("--decisions", "1_200", "--days", "3", "--yes")
FEW = ("--decisions", "60", "--days", "3", "--yes")
"""Where it makes no difference how many there are."""


def counted(url: str, *what: Any) -> Any:
    with closing(Database(url)) as database, database.read() as connection:
        return connection.execute(select(*what)).one()


def number_in(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_a_ledger_is_filled_once_and_says_with_what(bursar: Any, database_url: str) -> None:
    result = bursar.run("seed", *SMALL, BURSAR_DATABASE_URL=database_url)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    rows, spent = counted(database_url, func.count(), func.sum(decisions.c.spent_micros))
    assert rows == 1200
    said = result.stdout
    assert "1,200 decisions of northwind" in said
    assert number_in(r"([\d,]+) allowed", said) + number_in(r"([\d,]+) denied", said) == 1200
    assert f"${spent / 1_000_000:,.2f} spent" in said
    assert number_in(r"([\d,]+) policy_no_allow", said) > 0
    assert "decisions/s" in said
    assert "ledger: " in said
    again = bursar.run("seed", *SMALL, BURSAR_DATABASE_URL=database_url)
    assert again.returncode == 2
    assert again.stderr.strip() == (
        "bursar: organization 'northwind' already has decisions, and made-up ones do not go between them: "
        "choose another organization, or an empty ledger"
    )
    other = bursar.run("seed", *FEW, "--org", "south", BURSAR_DATABASE_URL=database_url)
    assert other.returncode == 0, other.stderr
    assert counted(database_url, func.count(decisions.c.decision_id))[0] == 1260


def test_the_state_directory_is_filled_where_no_database_is_named(bursar: Any) -> None:
    result = bursar.run("seed", *FEW)
    assert result.returncode == 0, result.stderr
    assert (bursar.folder / ".bursar" / "ledger.db").is_file()
    shown = bursar.run("costs", "variance", "--days", "5")
    assert shown.returncode == 0, shown.stderr


def test_the_same_seed_makes_the_same_ledger(bursar: Any) -> None:
    ends = {}
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        # Each with its own order of what is hashed.
        result = bursar.run_fresh("seed", *SMALL, *UNTIL, "--seed", seed, BURSAR_STATE_DIR=name)
        assert result.returncode == 0, result.stderr
        url = f"sqlite:///{bursar.folder / name / 'ledger.db'}"
        ends[name] = counted(url, organizations.c.chain_hash, organizations.c.cursor)
    assert ends["one"] == ends["two"] != ends["three"]
    assert ends["one"].chain_hash


def test_a_document_of_ones_own_governs_the_history(bursar: Any) -> None:
    result = bursar.run("seed", *FEW, "--document", "bursar.yaml")
    assert result.returncode == 0, result.stderr
    assert "60 decisions of acme" in result.stdout
    url = f"sqlite:///{bursar.folder / '.bursar' / 'ledger.db'}"
    with closing(Database(url)) as database, database.read() as connection:
        agents = set(connection.execute(select(decisions.c.agent_id).distinct()).scalars())
    assert agents == {"coder", "copilot"}


def test_the_live_document_of_an_organization_is_used_when_it_has_one(bursar: Any) -> None:
    applied = bursar.run("apply", "bursar.yaml", "--reason", "the first")
    assert applied.returncode == 0, applied.stderr
    result = bursar.run("seed", *FEW, "--org", "acme")
    assert result.returncode == 0, result.stderr
    assert "60 decisions of acme" in result.stdout
    versions = bursar.run("history", "--org", "acme")
    assert "bursar seed" not in versions.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--decisions", "9", "--until", "tomorrow"), "--until: must be an instant such as 2026-11-23T12:00:00Z"),
        (("--decisions", "9", "--until", "2026-01-20T15:00:00"), "--until: must be an instant"),
        (("--decisions", "9", "--until", "2999-01-01T00:00:00Z"), "--until: must not be later than now"),
        (("--decisions", "9", "--until", "0001-01-01T00:00+14:00"), "--until: must be an instant"),
        (("--decisions", "9", "--until", "9999-12-31T23:59-14:00"), "--until: must be an instant"),
        (
            ("--decisions", "9", "--until", "0005-01-01T00:00Z", "--days", "3660"),
            "--until: must leave 3,660 days since 2000-01-01",
        ),
        (("--decisions", "9", "--until", "2000-01-01T23:59Z", "--days", "1"), "--until: must leave 1 day since"),
        (
            ("--decisions", "1_000_000_000", "--days", "3660"),
            "--decisions: must be at most 100,000,000 over 3,660 days, got 1,000,000,000",
        ),
        (("--decisions", "5_000_001", "--days", "1"), "--decisions: must be at most 5,000,000 over 1 day, got"),
        (("--decisions", "9", "--org", "a b"), "--org: must be 1 to 128 letters"),
        (("--decisions", "9", "--document", "nothing.yaml"), "nothing.yaml"),
        (("--decisions", "0"), "Invalid value for '--decisions'"),
        (("--decisions", "9", "--days", "0"), "Invalid value for '--days'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_and_creates_nothing(
    bursar: Any, arguments: tuple[str, ...], sentence: str
) -> None:
    result = bursar.run("seed", "--yes", *arguments)
    assert result.returncode == 2
    assert sentence in re.sub(r"\s+", " ", result.stderr)
    assert "Traceback" not in result.stderr
    assert bursar.left_behind() == set()


DEAR = DOCUMENT.replace("5000", "999999")


def versions(bursar: Any) -> str:
    return str(bursar.run("history", "--org", "acme").stdout)


def test_a_document_beside_another_live_one_is_refused_and_replaces_nothing(bursar: Any) -> None:
    assert bursar.run("apply", "bursar.yaml", "--reason", "the first").returncode == 0
    before = versions(bursar)
    (bursar.folder / "dear.yaml").write_text(DEAR)
    result = bursar.run("seed", *FEW, "--document", "dear.yaml")
    assert result.returncode == 2
    assert result.stderr.strip() == (
        "bursar: organization 'acme' is governed by another document, version 1: "
        "leave --document out to fill it under that one, or name another organization with --org"
    )
    assert versions(bursar) == before
    same = bursar.run("seed", *FEW, "--document", "bursar.yaml")
    assert same.returncode == 0, same.stderr
    assert versions(bursar) == before


@pytest.mark.parametrize("lately", ["a writer", "a document"])
def test_a_seed_that_is_refused_at_the_last_moment_has_published_nothing(
    bursar: Any, tmp_path: Path, lately: str
) -> None:
    url = f"sqlite:///{bursar.folder / '.bursar' / 'ledger.db'}"
    (tmp_path / "dear.yaml").write_text(DEAR)
    # Between the look before the question and the fill, as while somebody thinks about the answer.
    meanwhile = {
        "a writer": "with d.write() as c:\n"
        "        ensure_organization(c, 'acme'); assert take_lease(c, 'acme', 'a worker', utc_now(), 600)",
        "a document": "publish_document(d, read_document(Path('dear.yaml')), author='a', reason='r')",
    }[lately]
    (tmp_path / "late.py").write_text(
        f"""from pathlib import Path
import bursar.seed as seed
from engine.clock import utc_now
from engine.document.load import read_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization, take_lease
real = seed._agreed
def agreed(*given):
    Path(".bursar").mkdir(exist_ok=True)
    d = Database({url!r}); migrate(d)
    {meanwhile}
    return real(*given)
seed._agreed = agreed
from bursar.cli import main
main()
"""
    )
    done = subprocess.run(
        [sys.executable, "late.py", "seed", *FEW, "--document", "bursar.yaml"],
        capture_output=True, timeout=60, check=False, **bursar._how({}),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert {"a writer": "another writer is at work", "a document": "is live, not 0"}[lately] in done.stderr
    published = versions(bursar)
    assert AUTHOR not in published
    assert len(published.splitlines()) == (lately == "a document") or "no governance document" in published
    assert counted(url, func.count(decisions.c.decision_id))[0] == 0


def test_an_organization_that_redis_knows_is_refused(bursar: Any, valkey_url: str, valkey: Any) -> None:
    valkey.xadd(events_key("south"), {"k": "check"})
    result = bursar.run("seed", *FEW, "--org", "south", BURSAR_REDIS_URL=valkey_url)
    assert result.returncode == 2
    assert result.stderr.startswith("bursar: Redis already knows organization 'south'")
    assert len(result.stderr.splitlines()) == 1
    assert bursar.left_behind() == set()
    other = bursar.run("seed", *FEW, "--org", "north", BURSAR_REDIS_URL=valkey_url)
    assert other.returncode == 0, other.stderr


def test_a_redis_that_does_not_answer_is_not_needed(bursar: Any) -> None:
    result = bursar.run("seed", *FEW, BURSAR_REDIS_URL="redis://127.0.0.1:1/0")
    assert result.returncode == 0, result.stderr


def test_without_anybody_to_ask_it_wants_a_yes(bursar: Any) -> None:
    result = bursar.run("seed", "--decisions", "9")
    assert result.returncode == 2
    assert result.stderr.strip() == "bursar: nobody can be asked here whether to fill this ledger: give --yes"
    assert bursar.left_behind() == set()


@pytest.mark.parametrize("days", ["1", "30"])
def test_ctrl_c_ends_it_soon_and_it_says_how_much_is_stored(bursar: Any, database_url: str, days: str) -> None:
    process = bursar.start(
        "seed", "--decisions", "5_000_000", "--days", days, "--yes", BURSAR_DATABASE_URL=database_url
    )
    wait_for_events(process, database_url)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    out, err = process.communicate(timeout=60)
    # A batch that is being stored is finished; a busy machine takes a second or two for it.
    assert time.monotonic() - asked < 8
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (rows,) = counted(database_url, func.count(decisions.c.decision_id))
    assert 0 < rows < 5_000_000
    assert f"{rows:,} decisions of northwind" in out
    assert f"Interrupted: {rows:,} of 5,000,000 decisions are stored" in out
    (last,) = counted(database_url, func.max(events.c.seq))
    row = counted(database_url, organizations.c.next_seq, organizations.c.lease_holder)
    assert (row.next_seq, row.lease_holder) == (last + 1, None)


def wait_for_events(process: subprocess.Popen[str], url: str) -> None:
    patience = time.monotonic() + 45
    while time.monotonic() < patience:
        assert process.poll() is None, process.communicate()
        with closing(Database(url)) as database:
            try:
                with database.read() as connection:
                    if connection.execute(select(events.c.seq).limit(1)).first():
                        return
            except Exception:  # noqa: BLE001 - no tables yet
                pass
        time.sleep(0.1)
    pytest.fail("nothing was stored")
