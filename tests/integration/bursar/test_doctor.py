"""`bursar doctor`: what is wrong is found and explained, on real servers; what is dead or hangs is a finding."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import update

from engine.admission.gate import RedisGate
from engine.clock import utc_now
from engine.doctor.examine import Report, examine
from engine.doctor.facts import Unanswered
from engine.doctor.finding import Finding, Level
from engine.doctor.gathering import gather
from engine.drain import LedgerDrain
from engine.errors import InvalidValue
from engine.ledger.database import Database
from engine.ledger.migrate import newest_version
from engine.ledger.queries.diagnosis import database_clock, outdated_decisions, undelivered
from engine.ledger.tables import decisions
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.ledger_rows import seed_ledger
from tests.support.outages import hung

DOCUMENT = """\
organization: acme
agents:
  copilot_hr: {provider: copilot_studio, team: hr}
  hook: {provider: webhook}
budgets:
  - {id: org, per: org, monthly_budget_usd: 5000}
rate_limits:
  - {id: each-copilot, per: agent, applies_to: {provider: copilot_studio}, requests_per_minute: 100}
policies:
  - {policy_id: go, effect: allow}
  - {policy_id: night, effect: allow, shadow: true}
"""
WHY = ("--reason", "a test", "--author", "ada")


class Clinic:
    """An organization whose calls are made by a service in this process, and commands that look at it."""

    def __init__(self, bursar: Any, redis_url: str) -> None:
        self.bursar = bursar
        self.settings = Settings(state_dir=bursar.folder / ".bursar", redis_url=redis_url, redis_timeout_seconds=5)
        self.apply(DOCUMENT, base=0)

    def apply(self, document: str, *, base: int = 1) -> None:
        (self.bursar.folder / "doc.yaml").write_text(document)
        done = self.bursar.run(
            "apply", "doc.yaml", "--base", str(base), *WHY, BURSAR_REDIS_URL=str(self.settings.redis_url)
        )
        assert done.returncode == 0, done.stderr

    def call(self, agent_id: str, number: int = 1) -> list[Any]:
        """Calls, all in the ledger afterwards."""
        with GovernanceService.from_live("acme", settings=self.settings) as service:
            made = [service.check(agent_id, estimated_cost="0.01") for _ in range(number)]
        self.store()
        return made

    def store(self) -> None:
        with (
            closing(Database.of(self.settings)) as database,
            closing(RedisGate(str(self.settings.redis_url), timeout_seconds=5.0)) as gate,
        ):
            drain = LedgerDrain(database, gate, "acme", lease_seconds=self.settings.lease_seconds)
            # What was decided while Redis was away is given to it at the end of the first, and stored by the second.
            assert drain.drain()
            assert drain.drain()
            drain.release()

    def doctor(self, *options: str, code: int = 1, **settings: str) -> dict[str, Any]:
        """The findings of the command by their check."""
        settings = {"BURSAR_REDIS_URL": str(self.settings.redis_url), **settings}
        done = self.bursar.run("doctor", "--json", *options, **settings)
        assert (done.returncode, done.stderr) == (code, ""), done
        return {each["check"]: each for each in json.loads(done.stdout)["findings"]}


@pytest.fixture
def clinic(bursar: Any, valkey_url: str) -> Clinic:
    return Clinic(bursar, valkey_url)


def test_guide_case_1_an_agent_that_is_not_found_is_explained(clinic: Clinic) -> None:
    clinic.call("hook")
    found = clinic.doctor("--agent", "copilot_hrr")
    assert found["agent.registered"]["level"] == "problem"
    assert "did you mean 'copilot_hr'?" in found["agent.registered"]["sentence"]
    assert found["agent.would_apply"]["details"] == {"budgets": ["org"], "rate_limits": [], "policies": ["go"]}

    with GovernanceService.from_live("acme", settings=clinic.settings) as service:
        with pytest.raises(ValueError, match="is not registered"):
            service.check("copilot_hrr", estimated_cost="0.01")
        # What the cure says: no cache has to be cleared.
        clinic.apply(DOCUMENT.replace("hook: {", "copilot_hrr: {provider: copilot_studio}\n  renamed: {"))
        assert service.check("copilot_hr", estimated_cost="0.01").allowed
        assert service.check("copilot_hrr", estimated_cost="0.01").allowed
    found = clinic.doctor("--agent", "copilot_hrr")
    assert found["agent.registered"]["level"] == "ok"
    assert found["agent.rates"]["details"] == {"rate_limits": ["each-copilot"]}
    assert found["agents.registered"]["details"] == {"agents": ["hook"]}


def test_guide_case_2_rate_limiting_that_does_not_work_is_explained(clinic: Clinic, valkey: redis.Redis) -> None:
    clinic.call("hook")
    valkey.config_set("maxmemory-policy", "allkeys-lru")
    valkey.config_set("appendonly", "no")
    found = clinic.doctor("--agent", "hook")
    assert found["redis.reachable"]["level"] == "ok"
    assert (found["redis.eviction"]["level"], found["redis.persistence"]["level"]) == ("problem", "warning")
    assert "No rate limit matches agent 'hook'" in found["agent.rates"]["sentence"]
    assert found["rates.agents"]["details"] == {"agents": ["hook"]}

    brief = clinic.settings.model_copy(update={"redis_timeout_seconds": 0.05})
    with GovernanceService.from_live("acme", settings=brief) as service:
        service.check("hook", estimated_cost="0.01")
        with hung(valkey):
            assert service.check("hook", estimated_cost="0.01").fail_open
            found = clinic.doctor()
            assert found["redis.reachable"]["level"] == "problem"
            assert "does not answer" in found["redis.reachable"]["sentence"]
    clinic.store()
    assert clinic.doctor()["rates.outage"]["details"] == {"fail_open": 1, "gate_unavailable": 0}


def test_guide_case_3_policies_that_always_deny_are_explained(clinic: Clinic) -> None:
    found = clinic.doctor()
    assert (found["policies.allow"]["level"], found["policies.denials"]["level"]) == ("ok", "ok")

    clinic.apply(DOCUMENT.replace("effect: allow}", "effect: allow, enabled: false}"))
    assert {decision.reason for decision in clinic.call("hook", 3)} == {"policy_no_allow"}
    found = clinic.doctor("--agent", "hook")
    assert found["policies.allow"]["details"] == {"allow": [], "disabled": ["go"], "shadow": ["night"], "policies": 2}
    assert found["policies.denials"]["level"] == "problem"
    assert "any of the 3 calls in the last hour: 100 %" in found["policies.denials"]["sentence"]
    assert found["agent.denials"]["details"]["no_allow"] == 3
    assert found["agent.policies"]["level"] == "problem"


def test_what_is_wrong_is_printed_with_its_cure_and_what_is_well_when_asked_for(clinic: Clinic) -> None:
    done = clinic.bursar.run("doctor", BURSAR_REDIS_URL=str(clinic.settings.redis_url))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("  PROBLEM  worker.running: No worker has")]
    assert lines[at + 1].startswith("           Do: Start `bursar worker`")
    assert "database.reachable" not in done.stdout
    assert "1 problem, " in lines[-1]
    every = clinic.bursar.run("doctor", "--all", BURSAR_REDIS_URL=str(clinic.settings.redis_url)).stdout
    assert "  ok       database.reachable: The ledger sqlite:///" in every


def test_a_machine_on_which_nothing_runs_is_no_problem_and_nothing_is_started(bursar: Any) -> None:
    assert bursar.run("doctor").returncode == 1
    assert bursar.left_behind() == set()
    assert bursar.run("apply", "bursar.yaml", *WHY).returncode == 0
    before = bursar.left_behind()
    done = bursar.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("No worker or demo is running") == 2
    assert "PROBLEM" not in done.stdout
    assert bursar.left_behind() <= before | {"ledger.db-wal", "ledger.db-shm"}


def test_bad_options_and_settings_end_with_2_and_one_sentence(clinic: Clinic) -> None:
    for options, settings, words in (
        (("--org", "nobody"), {}, "'nobody' is not in this ledger, which has acme"),
        ((), {"BURSAR_DATABASE_URL": "mysql://u:secret@h/d"}, "names the database 'mysql'"),
        ((), {"BURSAR_HOLD_SECONDS": "soon"}, "BURSAR_HOLD_SECONDS"),
    ):
        done = clinic.bursar.run("doctor", *options, **settings)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert "secret" not in done.stderr


def test_a_url_of_redis_that_cannot_be_one_is_a_finding(clinic: Clinic) -> None:
    found = clinic.doctor(BURSAR_REDIS_URL="http://:secret@here")["redis.reachable"]
    assert found["level"] == "problem"
    assert "BURSAR_REDIS_URL: is not the URL of a server" in found["sentence"]
    assert "secret" not in json.dumps(found)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_servers_that_hang_are_findings_and_keep_nobody(silent_port: int, tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path,
        redis_url=f"redis://:secret@127.0.0.1:{silent_port}",
        database_url=f"postgresql://u:secret@127.0.0.1:{silent_port}/d",
    )
    with closing(Database(settings.ledger_url)) as database:
        facts = gather(database, settings, patience_seconds=0.5)
        assert facts.ledger == Unanswered("there was no answer within 0.5 s")
        assert facts.redis.said == Unanswered("there was no answer within 0.5 s")
        assert "secret" not in facts.database_place + facts.redis.place


def test_databases_that_are_gone_or_old_or_empty_are_findings(postgres_server: Any, tmp_path: Path) -> None:
    with postgres_server.new_database() as url:
        database = Database(url)
        settings = Settings(state_dir=tmp_path, database_url=url)
        assert of(examine(database, settings), "database.reachable").level is Level.PROBLEM
        seed_ledger(database, now=utc_now(), days=1)
        report = examine(database, settings)
        assert of(report, "database.tables").details == {"tables": newest_version(), "newest": newest_version()}
        assert of(report, "clock.database").level is Level.OK
        assert of(report, "document.live").level is Level.PROBLEM
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        report = examine(database, settings)
        assert of(report, "database.tables").level is Level.PROBLEM
        assert {each.org_id for each in report.findings} == {None}
        database.close()
    gone = examine(database, settings)
    assert "does not exist" in of(gone, "database.reachable").sentence
    database.close()


def test_calls_by_an_older_version_are_counted_from_when_the_live_one_is_known(clinic: Clinic) -> None:
    made = clinic.call("hook", 3)
    clinic.apply(DOCUMENT.replace("5000", "6000"))
    clinic.call("hook", 2)
    with closing(Database.of(clinic.settings)) as database:
        # These calls were made before it was live.
        assert of(examine(database, clinic.settings), "document.outdated").level is Level.OK
        with database.read() as connection:
            assert outdated_decisions(connection, "acme", 2, since=utc_now()) is None
            found = outdated_decisions(connection, "acme", 2, since=utc_now() - timedelta(minutes=10))
        assert found is not None
        assert (found.decisions, found.oldest_version) == (3, 1)
        with database.write() as connection:
            # As if the newest of them had been made by a service that never heard of it.
            later = utc_now() + timedelta(seconds=clinic.settings.cache_ttl_seconds + 60)
            connection.execute(update(decisions).where(decisions.c.decision_id == made[-1].id).values(at=later))
        outdated = of(examine(database, clinic.settings), "document.outdated")
        assert (outdated.level, outdated.details["decisions"]) == (Level.PROBLEM, 1)


def test_an_agent_needs_an_organization_where_there_are_several(clinic: Clinic) -> None:
    clinic.apply(DOCUMENT.replace("organization: acme", "organization: other"), base=0)
    with closing(Database.of(clinic.settings)) as database:
        with pytest.raises(InvalidValue, match="choose one with --org"):
            examine(database, clinic.settings, agent_id="hook")
        report = examine(database, clinic.settings, org_id="other", agent_id="hook")
        assert {each.org_id for each in report.findings} == {None, "other"}
        assert {each.org_id for each in examine(database, clinic.settings).findings} == {None, "acme", "other"}


def test_messages_that_are_late_and_given_up_are_counted(database_url: str, tmp_path: Path) -> None:
    now = utc_now()
    with closing(Database(database_url)) as database:
        ledger = seed_ledger(database, now=now, days=1)
        dead = [row for row in ledger.outbox if row["state"] == "dead"]
        waits = [row["next_attempt_at"] for row in ledger.outbox if row["state"] in ("queued", "retry")]
        with database.read() as connection:
            found = undelivered(connection, "acme", given_up_since=now - timedelta(days=1))
            assert (found.dead, found.overdue_since) == (len(dead), min(waits))
            assert undelivered(connection, "acme", given_up_since=now).dead == 0
            assert (database_clock(connection) is None) == database.is_sqlite


def of(report: Report, check: str) -> Finding:
    (found,) = [each for each in report.findings if each.check == check]
    return found
