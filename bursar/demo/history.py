"""The demo's past: thirty days of the same organization, with a story that is there on any day of a month.

* `sales-plan` is heading over its month: the vendor of `market_research` bills a third more than the price book says.
* That price is wrong, and a calibration that stands its backtest proposes the right one.
* Yesterday and today a loop used up most of `market_research`'s day: one alert is resolved, one is firing.
* `block_development` denies the sandbox, a few people meet their rate limit, some holds expire unsettled, and Redis
  was away once.

`contract_review` is left out: its trial begins with the live traffic.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bursar.demo.traffic import AGENTS, BUSY_USERS_SHARE, MISPRICED, USERS, AgentTraffic
from engine.alerting.heartbeats import record_success
from engine.clock import from_ms, to_ms, utc_now
from engine.document.live import LiveDocument
from engine.document.schema import GovernanceDocument
from engine.document.store import publish
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.variance import VARIANCE_JOB
from engine.periods import period_of
from engine.replay.filling import FillReport, LedgerFill
from engine.replay.habits import Habit
from engine.replay.people import Callers, Crowd, Person
from engine.replay.rhythm import start_before
from engine.replay.scenario import Outage, Scenario, Surge
from engine.replay.simulation import Simulation
from jobs.costs import calibrate_all, count_variance
from jobs.delivery.channel import Delivery, Receipt
from jobs.delivery.sender import deliver_due
from jobs.evaluation import judge_budgets

DAYS = 30
DECISIONS = 11_000
SEED = 20_261_123

# Shares of a day's calls; live traffic is faster and mixed otherwise, so that something happens within a minute.
CALLS_BESIDE_EACH_OTHER = {
    "copilot_hr": 14.0,
    "copilot_it": 9.0,
    "coding_assistant": 20.0,
    "support_chat": 18.0,
    MISPRICED: 45.0,
    "invoice_hook": 6.0,
    "sandbox_bot": 3.0,
}
QUIET_BEFORE_NOW_MS = 20_000
"""So long before the history ends the loop is over, and its calls are settled. Half of a day that is younger."""
SHORTEST_TODAY_MS = 2_000
CALL_SECONDS = 1.0
LONGEST_LOOP_MS = 40 * 60_000
LOOP_CALLS = 700
LOOP_BUDGET = "per-agent"
LOOP_SHARE = 0.86
"""Of the day's limit: above the 80 % of the warning, below the 95 % of the critical alert."""
OUTAGE_MS = 25 * 60_000

STEP_MS = 6 * 3_600_000
CLOSE_STEP_MS = 1_800_000
"""How often the history is stored and rules look at it: seldom, and closely over the last days."""
CLOSE_DAYS = 2


def _never() -> bool:
    return False


def make_past(
    ledger: Path,
    document: GovernanceDocument,
    on_day: Callable[[int], None],
    stopped: Callable[[], bool] = _never,
) -> bool:
    """Make the ledger file `ledger` with a past up to now. It is there whole or not at all; false when `stopped`.

    A demo that is ended meanwhile leaves nothing that the next one would take for its past.
    """
    unfinished = ledger.with_name("unfinished.db")
    _remove(unfinished)
    with closing(Database(f"sqlite:///{unfinished.resolve()}")) as database:
        migrate(database)
        live = publish(database, document, base=0, author="demo", reason="a made-up organization")
        make_history(database, live, utc_now(), on_day=on_day, stopped=stopped)
    if stopped():
        _remove(unfinished)
        return False
    # The last connection has put its log into the file, which is all there is.
    unfinished.replace(ledger)
    return True


def _remove(unfinished: Path) -> None:
    for left in unfinished.parent.glob(f"{unfinished.name}*"):
        left.unlink()


def make_history(
    database: Database,
    live: LiveDocument,
    until: datetime,
    *,
    on_day: Callable[[int], None] = lambda day: None,
    stopped: Callable[[], bool] = _never,
) -> FillReport:
    """Fill an empty ledger up to `until`; rules, messages and calibration run in it as the worker's jobs would.

    `on_day` is told how many days are done. When `stopped` says so, the rest is left out.
    """
    until = _in_its_day(until, live.document.timezone)
    scenario = _scenario(live, until)
    simulation = Simulation(live, scenario)
    watcher = _Watcher(database, live.document.organization)
    close_from = scenario.until_ms - CLOSE_DAYS * 86_400_000

    def stored(now_ms: int) -> None:
        on_day((now_ms - scenario.start_ms) // 86_400_000)
        watcher.look(from_ms(now_ms))

    with LedgerFill(database, simulation.org_id) as fill:
        report = fill.store(
            simulation,
            longest_ms=lambda now_ms: STEP_MS if now_ms < close_from else CLOSE_STEP_MS,
            on_stored=stored,
            stopped=stopped,
        )
    if stopped():
        return report
    count_variance(database, until)
    with database.write() as connection:
        record_success(connection, VARIANCE_JOB, until)
    calibrate_all(database, until)
    return report


def _in_its_day(until: datetime, zone: str) -> datetime:
    """Not in the first moments of a day, in which nothing can happen: making the past takes longer than they last."""
    return max(until, period_of("day", until, zone).start + timedelta(milliseconds=SHORTEST_TODAY_MS))


class _Watcher:
    """Runs the rules on budgets at virtual times, and delivers what it says to the log, at the same times."""

    def __init__(self, database: Database, org_id: str) -> None:
        self._database = database
        self._org_id = org_id
        # Whatever the document names: nobody is told today of what is made up to have happened last week.
        self._channels = {"log": _Nowhere(), "slack": _Nowhere()}

    def look(self, now: datetime) -> None:
        """Evaluate and deliver."""
        judge_budgets(self._database, self._org_id, dashboard_url="", now=now)
        deliver_due(self._database, self._channels, clock=lambda: now)


class _Nowhere:
    """Takes messages that were due in the past."""

    paced = False

    def send(self, delivery: Delivery) -> Receipt:
        """It always arrives."""
        return Receipt("log", {"meant_for": delivery.target, "note": "made up for the demo's past"})


def _scenario(live: LiveDocument, until: datetime) -> Scenario:
    until_ms = to_ms(until)
    start_ms = start_before(until_ms, DAYS)
    outage_ms = _working_morning(until - timedelta(days=12), live.document.timezone)
    return Scenario(
        start_ms=start_ms,
        until_ms=until_ms,
        decisions=DECISIONS,
        seed=SEED,
        crowd=_crowd(),
        growth=0.12,
        burst_share=0.004,
        longest_burst=60,
        outages=(Outage(outage_ms, outage_ms + OUTAGE_MS),),
        surges=tuple(_loops(until, live.document.timezone)),
    )


def _working_morning(before: datetime, zone: str) -> int:
    """Ten o'clock of the last working day that began before an instant."""
    day = period_of("day", before, zone)
    while (day.start + timedelta(hours=12)).astimezone(ZoneInfo(zone)).weekday() >= 5:
        day = period_of("day", day.start - timedelta(hours=1), zone)
    return day.start_ms + 10 * 3_600_000


def _loops(until: datetime, zone: str) -> list[Surge]:
    """The loop of yesterday, some time in its middle, and today's, which has just ended."""
    today = period_of("day", until, zone)
    yesterday = period_of("day", today.start - timedelta(hours=1), zone)
    noon_ms, until_ms = (yesterday.start_ms + yesterday.end_ms) // 2, to_ms(until)
    quiet_ms = min(QUIET_BEFORE_NOW_MS, (until_ms - today.start_ms) // 2)
    ends_ms = until_ms - quiet_ms
    spans = [
        (noon_ms, noon_ms + LONGEST_LOOP_MS, CALL_SECONDS),
        # A few seconds after midnight everything goes faster, so that the calls are settled all the same.
        (max(today.start_ms, ends_ms - LONGEST_LOOP_MS), ends_ms, CALL_SECONDS * quiet_ms / QUIET_BEFORE_NOW_MS),
    ]
    return [
        Surge(MISPRICED, start, end, LOOP_CALLS, LOOP_BUDGET, "day", LOOP_SHARE, seconds)
        for start, end, seconds in spans
    ]


def _crowd() -> Crowd:
    habits = [_habit(agent) for agent in AGENTS if agent.agent_id in CALLS_BESIDE_EACH_OTHER]
    dice = random.Random(SEED)  # noqa: S311 - made-up people, no secrets
    people = []
    for user_id in USERS:
        drawn = dice.choices(habits, [habit.weight for habit in habits], k=len(habits) * 4)
        people.append(Person(user_id, "US", None, "standard", tuple(dict.fromkeys(drawn))))
    # The first two are busy in the history as they are live.
    busy = BUSY_USERS_SHARE * len(USERS) / 2
    weights = [busy if index < 2 else 1.0 for index in range(len(USERS))]
    return Crowd(Callers(people, weights), Callers((), ()))


def _habit(agent: AgentTraffic) -> Habit:
    return Habit(
        agent_id=agent.agent_id,
        shape=agent.shape,
        by_tokens=agent.by_tokens,
        weight=CALLS_BESIDE_EACH_OTHER[agent.agent_id],
        price_ln_sd=agent.price_ln_sd,
        level=agent.level,
        seconds=CALL_SECONDS,
    )
