"""The Budgets page: every number against the seeded rows, its links and states, and what its buttons change."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.wording import money
from engine.analytics.recommendation import Basis, Recommendation
from engine.document.editing import raise_budget
from engine.document.load import parse_document
from engine.document.store import live_document, publish_document, version_history
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.queries.reviews import add_review
from engine.ledger.tables import alerts, budget_usage
from engine.reviews.content import BudgetAdvice, Compared, MonthlyReview, review_to_json
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.app_pages import open_page, pages_of, text_of, with_tables
from tests.support.ledger_rows import AGENTS, SeededLedger, seed_empty_organization, seed_ledger

Row = dict[str, Any]
Key = tuple[str, str, str]

USD = 1_000_000
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
BUDGETS: list[Row] = [
    {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"}, "monthly_budget_usd": 120,
     "daily_budget_usd": 20, "monthly_execution_limit": 10_000, "enforcement_mode": "soft"},
    {"id": "teams", "per": "team", "monthly_budget_usd": 3},
]  # fmt: skip
REGISTERED = {
    **{agent: {"provider": provider, **({"team": team} if team else {})} for agent, team, provider, *_ in AGENTS},
    "idle_bot": {"provider": "webhook"},
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """A month with a budget that is just full, which these tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('budgets') / 'ledger.db'}"
    with closing(Database(url)) as database:
        seeded = seed_ledger(database, now=datetime.now(UTC), days=30, per_day=40)
        [total] = [row for row in running(seeded) if row["budget_id"] == "org"]
        full = str(Decimal(total["spent_micros"] + total["held_micros"]) / USD)
        everything = {
            "id": "org",
            "per": "org",
            "applies_to": {"provider": "copilot_studio"},
            "monthly_budget_usd": full,
        }
        for budgets in ([{**everything, "monthly_budget_usd": 1}, *BUDGETS], [everything, *BUDGETS]):
            content = {"organization": "acme", "agents": REGISTERED, "budgets": budgets}
            publish_document(database, parse_document(content, "test"), author="ada", reason="agreed in June")
        with database.write() as connection:
            connection.execute(alerts.insert(), [alert_about(seeded, "org", "acme", "month")])
            add_review(connection, "acme", "monthly", "2026-10", review_to_json(review()), made_at=seeded.now)
    with pages_of(url):
        yield seeded


@pytest.fixture(scope="module")
def page(ledger: SeededLedger) -> AppTest:
    """The page as it opens."""
    app = with_tables(open_page("budgets"))
    assert not app.exception
    return app


def running(ledger: SeededLedger) -> list[Row]:
    return [row for row in ledger.budgets if row["period_start"] <= ledger.now < row["period_end"]]


def alert_about(ledger: SeededLedger, budget: str, scope: str, period: str) -> Row:
    labels = {"budget": budget, "scope": scope, "period": period}
    return {
        "alert_id": "about-org", "org_id": "acme", "rule_id": "budget_exhausted", "severity": "critical",
        "state": "firing", "alert_key": "about-org", "episode": 1, "dedupe_key": "about-org|1",
        "title": "Monthly budget 'org' is used up", "labels": labels,
        "facts": {"period_label": f"{ledger.now:%Y-%m}"}, "life": {}, "fired_at": ledger.now - timedelta(minutes=3),
    }  # fmt: skip


def review() -> MonthlyReview:
    nothing = Compared(0, 0)

    def advice(budget_id: str, scope: str, limit: int, proposed: int) -> BudgetAdvice:
        made = Recommendation(Basis.HISTORY, 40, limit * USD, proposed * USD, "19 of 20 days cost at most $1.")
        return BudgetAdvice(budget_id, scope, "month", made)

    return MonthlyReview(
        "acme", "2026-10", "UTC", "November 2026", nothing, nothing, nothing, None, None, (), 0, (), nothing,
        (advice("teams", "team-hr", 3, 8), advice("copilots", "copilot_hr", 120, 90), advice("org", "acme", 7, 9)),
    )  # fmt: skip


def limit_of(key: Key, rows: list[Row]) -> int:
    budget_id, _, period = key
    if budget_id == "org":
        return sum(row["spent_micros"] + row["held_micros"] for row in rows if row["budget_id"] == "org")
    return {"teams": 3, "copilots": 120 if period == "month" else 20}[budget_id] * USD


def paces(ledger: SeededLedger, now: datetime) -> dict[Key, float]:
    """What each counter's calls spent in a day of the last week; all agents have called before it."""
    start = (now - WEEK).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    spent: dict[Key, float] = defaultdict(float)
    for row in ledger.decisions:
        if row["at"] < start or row["outcome"] != "allowed":
            continue
        keys = [("teams", row["team_id"], "month")] if row["team_id"] else []
        if row["provider"] == "copilot_studio":
            keys += [("org", "acme", "month"), ("copilots", row["agent_id"], "month"),
                     ("copilots", row["agent_id"], "day")]  # fmt: skip
        for key in keys:
            spent[key] += row["spent_micros"] / 7
    return spent


def expected(ledger: SeededLedger) -> dict[Key, Row]:
    """Every counter by hand: what it has, its pace, and where it stands."""
    rows, found = running(ledger), {}
    used = {(row["budget_id"], row["scope"], row["period"]): row for row in rows}
    pace = paces(ledger, ledger.now)
    month_end = next(row["period_end"] for row in rows if row["period"] == "month")
    day_end = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    for key in used.keys() | pace.keys():
        row = used.get(key, {"spent_micros": 0, "held_micros": 0, "executions": 0})
        limit, committed = limit_of(key, rows), row["spent_micros"] + row["held_micros"]
        ahead = pace[key] * (((month_end if key[2] == "month" else day_end) - ledger.now) / DAY)
        hard = key[0] != "copilots"
        over = committed >= limit or committed + ahead > limit
        standing = "Blocked" if hard and committed >= limit else "Forecast over" if over else "On track"
        found[key] = {**row, "limit": limit, "pace": pace[key], "standing": standing}
    return found


def table_of(app: AppTest) -> dict[Key, Row]:
    [table] = [each.value for each in app.dataframe if "Standing" in each.value and "Mode" in each.value]
    kinds = {True: "month", False: "day"}
    return {(row["Budget"], row["Scope"], kinds[len(row["Period"]) == 7]): row for row in table.to_dict("records")}


def rows_of(app: AppTest, *columns: str) -> list[Row]:
    """The one table with these first columns."""
    [table] = [each.value for each in app.dataframe if tuple(each.value)[: len(columns)] == columns]
    rows: list[Row] = table.to_dict("records")
    return rows


def numbers(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def test_the_numbers_count_where_the_counters_stand(ledger: SeededLedger, page: AppTest) -> None:
    standings = [row["standing"] for row in expected(ledger).values()]
    shown = numbers(page)
    assert {label: int(shown[label][0]) for label in ("Blocked", "Forecast over", "On track")} == {
        label: standings.count(label) for label in ("Blocked", "Forecast over", "On track")
    }
    assert standings.count("Blocked") >= 1
    assert shown["Blocked"][1] == f"of {len(standings)} counters"


def test_agents_whose_calls_no_money_budget_counts_are_named(ledger: SeededLedger, page: AppTest) -> None:
    assert numbers(page)["Without a budget"] == ("2", "of 7 agents")
    [metric] = [metric for metric in page.metric if metric.label == "Without a budget"]
    assert "idle_bot, nightly_sync" in metric.help.replace("\\", "")
    since = min(ledger.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), ledger.now - WEEK)
    spent = sum(
        row["spent_micros"] for row in ledger.decisions if row["agent_id"] == "nightly_sync" and row["at"] >= since
    )
    listed = rows_of(page, "Agent", "Team", "Provider")
    assert [(row["Agent"], row["Spent this month"]) for row in listed][1] == ("idle_bot", "no calls")
    assert listed[0]["Agent"] == "nightly_sync"
    if since.day == 1:
        assert listed[0]["Spent this month"] == money(spent)


def test_every_row_of_the_table_is_that_of_the_seeded_rows(ledger: SeededLedger, page: AppTest) -> None:
    table, wanted = table_of(page), expected(ledger)
    assert table.keys() == wanted.keys()
    for key, row in wanted.items():
        shown = table[key]
        committed = row["spent_micros"] + row["held_micros"]
        assert shown["Settled"] == pytest.approx(row["spent_micros"] / USD)
        assert shown["Held"] == pytest.approx(row["held_micros"] / USD)
        assert shown["Limit"] == pytest.approx(row["limit"] / USD)
        assert shown["Left"] == pytest.approx((row["limit"] - committed) / USD)
        assert shown["Standing"] == row["standing"]
        assert shown["Mode"] == ("soft" if key[0] == "copilots" else "hard")
        assert shown["Alerts"] == (1 if key == ("org", "acme", "month") else 0)
        # The week of the page may begin an hour later than that of the rows.
        later = paces(ledger, datetime.now(UTC))[key]
        assert any(shown["Per day"] == pytest.approx(each / USD, abs=2e-6) for each in (row["pace"], later))


def test_the_table_is_in_the_order_in_which_counters_run_out(ledger: SeededLedger, page: AppTest) -> None:
    order = {"Blocked": 0, "Forecast over": 1, "On track": 2}
    wanted, shown = expected(ledger), table_of(page)
    standings = [order[row["Standing"]] for row in shown.values()]
    assert standings == sorted(standings)
    instants = []
    for key, row in shown.items():
        words = row["Runs out (UTC)"]
        mine = wanted[key]
        left = mine["limit"] - mine["spent_micros"] - mine["held_micros"]
        if row["Standing"] == "On track":
            assert words == "lasts"
        elif left <= 0:
            assert words == "already"
        else:
            instant = datetime.strptime(f"{ledger.now.year} {words}", "%Y %d %b %H:%M").replace(tzinfo=UTC)
            assert abs(instant - ledger.now - DAY * (left / mine["pace"])) < timedelta(minutes=10)
            instants.append(instant)
    assert instants == sorted(instants)


def test_the_worst_counter_is_shown_first_with_its_days_alert_and_history(ledger: SeededLedger, page: AppTest) -> None:
    month = [row for row in ledger.decisions if f"{row['at']:%Y-%m}" == f"{ledger.now:%Y-%m}"]
    [total] = [row for row in running(ledger) if row["budget_id"] == "org"]
    first = table_of(page)
    assert next(iter(first))[0] in ("org", "teams")
    app = with_tables(open_page("budgets", org="acme", budget="org", scope="acme", period="month"))
    burn_up = [row["Spent"] for row in rows_of(app, "Until (UTC)")]
    assert burn_up[-1] == money(total["spent_micros"])
    # The budget's calls are those of one provider, whose running total the days are.
    own = [row for row in month if row["provider"] == "copilot_studio" and row["at"].date() < ledger.now.date()]
    if own and ledger.now.day > 2:
        assert money(sum(row["spent_micros"] for row in own)) in burn_up
    assert "Monthly budget 'org' is used up" in text_of(app)
    caps = rows_of(app, "Month", "Spent", "Cap")
    totals = {row["period_label"]: row for row in ledger.budgets if row["budget_id"] == "org"}
    assert [(row["Month"], row["Spent"]) for row in caps] == [
        (label, money(totals[label]["spent_micros"])) for label in sorted(totals, reverse=True)
    ]


def test_a_day_is_burnt_up_by_the_hour_and_its_caps_are_days(ledger: SeededLedger) -> None:
    app = with_tables(open_page("budgets", budget="copilots", scope="copilot_hr", period="day"))
    assert not app.exception
    assert "copilots · copilot_hr · today" in text_of(app)
    own = [row for row in ledger.decisions if row["agent_id"] == "copilot_hr" and row["outcome"] == "allowed"]
    days: dict[str, int] = defaultdict(int)
    for row in own:
        days[row["at"].date().isoformat()] += row["spent_micros"]
    caps = rows_of(app, "Day", "Spent", "Cap")
    assert [(row["Day"], row["Spent"]) for row in caps] == [
        (label, money(days[label])) for label in sorted(days, reverse=True)
    ]
    assert {row["Cap"] for row in caps} == {"$20.00"}
    today = ledger.now.date().isoformat()
    assert rows_of(app, "Until (UTC)")[-1]["Spent"] == money(days.get(today, 0))


def test_a_team_an_agent_or_a_provider_narrows_to_the_counters_of_its_calls(ledger: SeededLedger) -> None:
    assert set(table_of(open_page("budgets", team="team-eng"))) == {("teams", "team-eng", "month")}
    hr = set(table_of(open_page("budgets", org="acme", agent="copilot_hr")))
    assert hr == {key for key in expected(ledger) if key[1] in ("acme", "copilot_hr", "team-hr")}
    nobody = open_page("budgets", agent="idle_bot")
    assert "No budget counts these calls" in text_of(nobody)
    assert numbers(nobody)["Without a budget"] == ("1", "of 1 agent")


def test_a_link_to_a_counter_that_nobody_used_and_to_one_that_is_not_there(ledger: SeededLedger) -> None:
    unused = open_page("budgets", budget="teams", scope="team-legal", period="month")
    assert "teams · team-legal · this month" in text_of(unused)
    gone = open_page("budgets", budget="gone", scope="x", period="month")
    assert "No counter gone · x · month in version 2 of the document." in text_of(gone)
    assert not gone.exception


def test_the_change_log_says_who_when_why_and_what_was_before(ledger: SeededLedger) -> None:
    app = open_page("budgets", budget="org")
    [limit] = {row["limit"] for key, row in expected(ledger).items() if key[0] == "org"}
    text = text_of(app)
    [log] = [block.value.replace("\\", "") for block in app.markdown if "Version 2" in block.value]
    assert " · ada" in log
    assert "agreed in June" in log
    assert f"monthly 1 -> {Decimal(limit) / USD:,.2f}"[:14] in log
    assert "Version 1" in text
    other = [block.value for block in open_page("budgets", budget="teams").markdown if "Version 2" in block.value]
    assert not other


def test_proposals_say_what_would_change_and_leave_out_what_has_changed_since(
    ledger: SeededLedger, page: AppTest
) -> None:
    text = text_of(page)
    assert "From the review of 2026-10" in text
    assert "2 limits of 2 would change." in text
    assert "teams, a month: $3.00 → $8.00" in text.replace("**", "")
    assert "copilots, a month: $120.00 → $90.00" in text.replace("**", "")
    keys = [button.key for button in page.button]
    assert "apply_teams_month_2_submit" in keys
    assert "apply_copilots_month_2_submit" not in keys


def test_a_viewer_looks_and_cannot_raise_anything(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page("budgets", budget="org")
    assert not app.exception
    assert len(app.metric) == 4
    app.text_input(key="raise_for_a_while_2_reason").input("please")
    app.button(key="raise_for_a_while_2_submit").click().run()
    assert "needs the role operator" in " ".join(error.value for error in app.error)
    with closing(Database(_url())) as database, database.read() as connection:
        assert len(version_history(connection, "acme")) == 2


def test_a_raise_needs_a_reason_and_an_amount_and_what_was_typed_stays(ledger: SeededLedger) -> None:
    app = open_page("budgets", budget="org")
    app.button(key="raise_for_a_while_2_submit").click().run()
    assert [error.value.replace("\\", "") for error in app.error] == ["Reason: say why, in a few words."]
    app.number_input(key="raise_by_org_acme_month").set_value(0.0).run()
    app.text_input(key="raise_for_a_while_2_reason").input("quarter end")
    app.button(key="raise_for_a_while_2_submit").click().run()
    assert [error.value.replace("\\", "") for error in app.error] == ["Amount: must be more than $0, got 0."]
    assert app.text_input(key="raise_for_a_while_2_reason").value == "quarter end"


def _url() -> str:
    return os.environ["BURSAR_DATABASE_URL"]


BOT = {"hook": {"provider": "webhook"}}
ONE_DOLLAR = {"id": "all", "per": "org", "monthly_budget_usd": 1}
OPEN = [{"policy_id": "go", "effect": "allow"}]


@pytest.fixture
def governed(
    ledger_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[GovernanceService, Database]]:
    """An organization with a budget of a dollar, whose calls are decided by a real server."""
    settings = Settings(
        database_url=ledger_url, redis_url=valkey_url, state_dir=tmp_path / "state", redis_timeout_seconds=5,
        rebuild_patience_seconds=10, ledger_patience_seconds=5,
    )  # fmt: skip
    monkeypatch.setenv("BURSAR_REDIS_URL", valkey_url)
    document = tmp_path / "bursar.json"
    content = {"organization": "acme", "agents": BOT, "budgets": [ONE_DOLLAR], "policies": OPEN}
    document.write_text(json.dumps(content))
    with closing(Database(ledger_url)) as database:
        migrate(database)
        with GovernanceService.from_document(document, settings=settings) as service:
            yield service, database


def history(database: Database) -> list[tuple[int, str]]:
    with database.read() as connection:
        return [(record.version, record.reason) for record in version_history(connection, "acme")]


def audited(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        entries = [(row.action, row.subject, row.reason) for row in audit_entries(connection, "acme")]
    return [entry for entry in entries if entry[0] != "document.apply"]


def test_a_raise_is_a_version_with_an_audit_entry_and_the_next_call_passes_until_it_is_ended(
    governed: tuple[GovernanceService, Database],
) -> None:
    service, database = governed
    assert not service.check("hook", estimated_cost=2).allowed
    app = open_page("budgets", budget="all")
    app.number_input(key="raise_by_all_acme_month").set_value(5.0).run()
    app.text_input(key="raise_for_a_while_1_reason").input("quarter end")
    app.button(key="raise_for_a_while_1_submit").click().run()
    assert not app.exception
    assert not app.error
    [said] = [each.value.replace("\\", "") for each in app.success]
    assert said.startswith("Budget all is raised by $5.00 for everything it counts until ")
    assert said.endswith("Version 2 is in force everywhere now.")
    assert history(database)[0] == (2, "quarter end")
    assert audited(database)[0] == ("budget.raise_for_a_while", "all", "quarter end")
    assert service.check("hook", estimated_cost=2).allowed
    assert "+$5.00 a month for everything it counts until" in text_of(app)

    app.text_input(key="end_raise_all_0_2_reason").input("over")
    app.button(key="end_raise_all_0_2_submit").click().run()
    assert not app.error
    assert audited(database)[0] == ("budget.end_raise", "all", "over")
    assert not service.check("hook", estimated_cost=2).allowed


def test_a_raise_for_good_by_an_admin_changes_the_limit(governed: tuple[GovernanceService, Database]) -> None:
    _, database = governed
    app = open_page("budgets", budget="all")
    app.segmented_control(key="raise_how").set_value("For good").run()
    app.number_input(key="raise_limit_all_acme_month").set_value(7.5).run()
    app.text_input(key="raise_for_good_1_reason").input("agreed")
    app.button(key="raise_for_good_1_submit").click().run()
    [said] = [each.value.replace("\\", "") for each in app.success]
    assert said.startswith("Budget all is $7.50 a month from now on.")
    with database.read() as connection:
        assert live_document(connection, "acme").document.budgets[0].monthly_budget_usd == Decimal("7.5")
    assert audited(database)[0] == ("budget.raise", "all", "agreed")


def test_an_operator_may_not_raise_for_good(
    governed: tuple[GovernanceService, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, database = governed
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "operator")
    app = open_page("budgets", budget="all")
    app.segmented_control(key="raise_how").set_value("For good").run()
    app.text_input(key="raise_for_good_1_reason").input("agreed")
    app.button(key="raise_for_good_1_submit").click().run()
    assert "needs the role admin" in " ".join(error.value for error in app.error)
    assert len(history(database)) == 1


def raise_meanwhile(database: Database) -> None:
    """Somebody else makes version 2 while a page is open."""
    raise_budget(
        database, "acme", "all", base=1, kind="month", new_limit_usd=Decimal(2), author="bob", reason="first",
        now=datetime.now(UTC),
    )  # fmt: skip
    st.cache_data.clear()


def test_what_became_live_since_the_page_was_shown_is_not_changed_unseen(
    governed: tuple[GovernanceService, Database],
) -> None:
    _, database = governed
    app = open_page("budgets", budget="all")
    raise_meanwhile(database)
    app.text_input(key="raise_for_a_while_1_reason").input("second")
    app.button(key="raise_for_a_while_1_submit").click().run()
    assert "Version 2 of the governance document" in " ".join(error.value.replace("\\", "") for error in app.error)
    assert len(history(database)) == 2
    app.run()
    app.text_input(key="raise_for_a_while_2_reason").input("second")
    app.button(key="raise_for_a_while_2_submit").click().run()
    assert not app.error
    assert history(database)[0] == (3, "second")


def test_once_the_page_shows_what_became_live_its_buttons_are_about_that(
    governed: tuple[GovernanceService, Database],
) -> None:
    _, database = governed
    app = open_page("budgets", budget="all")
    raise_meanwhile(database)
    app.run()
    app.text_input(key="raise_for_a_while_2_reason").input("second")
    app.button(key="raise_for_a_while_2_submit").click().run()
    assert not app.error
    assert history(database)[0] == (3, "second")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "run `bursar apply bursar.yaml`"),
        ({"organization": "acme"}, "has no budget, so that nothing limits"),
        ({"organization": "acme", "budgets": [ONE_DOLLAR]}, "A counter begins with its first call"),
    ],
)
def test_what_is_not_there_yet_is_said_with_the_next_step(ledger_url: str, content: Row | None, said: str) -> None:
    with closing(Database(ledger_url)) as database:
        seed_empty_organization(database, now=datetime.now(UTC))
        if content is not None:
            publish_document(database, parse_document(content, "test"), author="test", reason="test")
    app = open_page("budgets")
    assert not app.exception
    assert said in text_of(app)


def test_a_ledger_that_fails_while_the_page_is_open_is_a_sentence(ledger_url: str) -> None:
    with closing(Database(ledger_url)) as database:
        seed_empty_organization(database, now=datetime.now(UTC))
        content = {"organization": "acme", "budgets": [ONE_DOLLAR]}
        publish_document(database, parse_document(content, "test"), author="test", reason="test")
        app = open_page("budgets")
        with database.write() as connection:
            budget_usage.drop(connection)
    st.cache_data.clear()
    app.run()
    assert not app.exception
    assert "The ledger database cannot be read." in text_of(app)
