"""Bills in the FOCUS format: whose a charge is, which days it covers, what is left out, what is refused."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import to_usd
from engine.pricing.billing import sums, tally
from engine.pricing.billing.problems import BillError
from engine.pricing.billing.reading import BillOptions, read_bill
from engine.pricing.billing.tally import Bill

NOV = date(2026, 11, 3)
USUAL: dict[str, str] = {
    "BilledCost": "1.5",
    "BillingCurrency": "USD",
    "ChargePeriodStart": "2026-11-03T00:00:00Z",
    "ChargePeriodEnd": "2026-11-04T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ResourceId": "/subscriptions/1/x",
    "ResourceName": "",
    "ServiceName": "Azure OpenAI",
    "ProviderName": "Microsoft",
    "Tags": "",
}


def text_of(*rows: dict[str, str]) -> str:
    lines = [{**USUAL, **row} for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for line in lines for name in line)), restval="")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def read(*rows: dict[str, str], **options: Any) -> Bill:
    return read_bill("f.csv", text_of(*rows).splitlines(keepends=True), BillOptions(**options))


def tagged(**tags: Any) -> dict[str, str]:
    return {"Tags": json.dumps(tags)}


CODER = tagged(agent="coder")


@pytest.mark.parametrize(
    ("tags", "agent"),
    [
        ({"agent": "coder"}, "coder"),
        ({"Agent_ID": " coder "}, "coder"),
        ({"user:agent": "coder"}, "coder"),
        ({"aws/user:bursar_agent": "coder"}, "coder"),
        ({"user/agent": "other", "agent": "coder"}, "coder"),
        ({"agent": "other", "agent_id": "another", "bursar_agent": "coder"}, "coder"),
        ({"agent": True, "user/agent": "coder"}, "coder"),
        ({"agent": 7}, "7"),
        ({"agent": None}, None),
        ({"agent": ""}, None),
        ({"agent": True}, None),
        ({"useragent": "Mozilla 5"}, None),
        ({}, None),
    ],
)
def test_a_tag_says_whose_a_charge_is(tags: dict[str, Any], agent: str | None) -> None:
    assert set(read(tagged(**tags)).amounts) == ({agent} if agent else set())


def test_a_resource_is_an_agent_when_one_of_its_name_is_registered() -> None:
    rows = ({"ResourceName": "coder"}, {"ResourceId": "copilot"}, {"ResourceName": "stranger"})
    bill = read(*rows, registered={"coder", "copilot"})
    assert bill.amounts == {"coder": {NOV: 1_500_000}, "copilot": {NOV: 1_500_000}}
    assert {name: (each.rows, each.micros) for name, each in bill.unassigned.items()} == {
        "Azure OpenAI": (1, 1_500_000)
    }


def test_a_column_of_its_own_comes_first_where_it_says_something() -> None:
    rows = ({"x_Agent": "copilot", **CODER}, {"x_Agent": "NULL", **CODER}, CODER)
    assert read(*rows, agent_column="x_agent").amounts == {"copilot": {NOV: 1_500_000}, "coder": {NOV: 3_000_000}}


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z", [3]),
        ("2026-11-03T22:00Z", "2026-11-03T23:00Z", [3]),
        ("2026-11-03 00:00:00.000", "2026-11-04 00:00:00.000", [3]),
        ("2026-11-03 23:00:00 UTC", "2026-11-04 00:00:00 UTC", [3]),
        ("2026-11-03", "2026-11-04", [3]),
        ("2026-11-02T20:00:00-04:00", "2026-11-04T00:00:00+0000", [3]),
        ("2026-11-03T23:59:59.999999999Z", "2026-11-04T00:00:00Z", [3]),
        ("2026-11-03T12:00:00Z", "2026-11-05T12:00:00Z", [3, 4, 5]),
    ],
)
def test_a_charge_belongs_to_the_utc_days_of_its_period(start: str, end: str, days: list[int]) -> None:
    bill = read({**CODER, "ChargePeriodStart": start, "ChargePeriodEnd": end})
    assert sorted(bill.days) == [date(2026, 11, day) for day in days]
    assert sorted(bill.amounts["coder"]) == sorted(bill.days)
    assert bill.total_micros == 1_500_000


def test_many_small_charges_of_a_month_are_spread_together() -> None:
    month = {**CODER, "ChargePeriodStart": "2026-11-01", "ChargePeriodEnd": "2026-12-01", "BilledCost": "0.000001"}
    assert set(read(*[month] * 60).amounts["coder"].values()) == {2}


def test_what_is_not_usage_is_summed_and_left_out() -> None:
    decade = {"ChargePeriodStart": "2026-01-01", "ChargePeriodEnd": "2036-01-01"}
    bill = read(
        {**CODER, **decade, "ChargeCategory": "Purchase", "BilledCost": "500"},
        {**CODER, "ChargeCategory": "Tax", "BilledCost": "0.10"},
        {**CODER, "ChargeCategory": "tax", "BilledCost": "0.20"},
        {**CODER, "ChargeCategory": "Credit", "BilledCost": "-7"},
        {**CODER, "ChargeCategory": "Adjustment", "BilledCost": "-0.01"},
        CODER,
    )
    assert bill.amounts == {"coder": {NOV: 1_500_000}}
    assert bill.days == {NOV}
    assert {name: (each.rows, each.amount) for name, each in bill.left_out.items()} == {
        "Purchase": (1, Decimal(500)),
        "Tax": (2, Decimal("0.30")),
        "Credit": (1, Decimal(-7)),
        "Adjustment": (1, Decimal("-0.01")),
    }


def test_usage_may_be_taken_back() -> None:
    back = {**CODER, "BilledCost": "-2", "ChargeClass": "Correction"}
    assert read(CODER, back).amounts == {"coder": {NOV: -500_000}}
    assert read(CODER, {**back, "ChargeClass": ""}).amounts == {"coder": {NOV: -500_000}}
    assert read(CODER, back).only_corrections == frozenset()
    assert read(back).only_corrections == {("coder", NOV)}


def test_the_other_cost_is_read_when_asked_for() -> None:
    row = {**CODER, "EffectiveCost": "0.75"}
    assert read(row).total_micros == 1_500_000
    assert read(row, cost_column="EffectiveCost").total_micros == 750_000
    with pytest.raises(BillError, match="looks like FOCUS but lacks EffectiveCost; it has BilledCost, BillingCurrency"):
        read(CODER, cost_column="EffectiveCost")


def test_a_focus_file_stays_one_whatever_other_columns_it_has() -> None:
    bill = read({**CODER, "agent": "x", "date": "2026-01-01", "cost": "99"})
    assert (bill.kind, bill.amounts) == ("focus", {"coder": {NOV: 1_500_000}})


def test_the_provider_is_named_by_either_version_of_its_column() -> None:
    assert read(CODER).providers == ("Microsoft",)
    assert read({**CODER, "ServiceProviderName": "OpenAI"}, CODER).providers == ("OpenAI", "Microsoft")
    assert read({**CODER, "ServiceProviderName": "null", "ProviderName": ""}).providers == ()


def test_of_many_services_the_later_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_SERVICES", 2)
    bill = read(*({"ServiceName": name} for name in ("a", "", "c", "a", "d")))
    assert {name: each.rows for name, each in bill.unassigned.items()} == {"a": 2, "(no service)": 1, "(other)": 2}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"BilledCost": "NaN"}, "BilledCost: must be a number of US dollars such as 12.34, got 'NaN'"),
        ({"BilledCost": "-1e10"}, "BilledCost: must be at most $1,000,000,000, got '-1e10'"),
        (
            {"BillingCurrency": "EUR"},
            "BillingCurrency: must be USD, got 'EUR'; have the bill in US dollars or convert it first",
        ),
        (
            {"ChargeCategory": "Rebate"},
            "ChargeCategory: must be one of Usage, Purchase, Tax, Credit, Adjustment, got 'Rebate'",
        ),
        ({"ChargeClass": "Regular"}, "ChargeClass: must be Correction or empty, got 'Regular'"),
        (
            {"ChargePeriodStart": "11/03/2026"},
            "ChargePeriodStart: must be a UTC time such as 2026-11-03T00:00:00Z, got '11/03/2026'",
        ),
        (
            {"ChargePeriodStart": ""},
            "ChargePeriodStart: must be a UTC time such as 2026-11-03T00:00:00Z, got nothing",
        ),
        (
            {"ChargePeriodStart": "0001-01-01T00:00:00+14:00"},
            "ChargePeriodStart: must be a UTC time such as 2026-11-03T00:00:00Z, got '0001-01-01T00:00:00+14:00'",
        ),
        (
            {"ChargePeriodEnd": "2026-11-04T25:00:00Z"},
            "ChargePeriodEnd: has no such time: '2026-11-04T25:00:00Z'; write it like 2026-11-03T00:00:00Z",
        ),
        (
            {"ChargePeriodEnd": "2026-11-04T00:00:00+24:00"},
            "ChargePeriodEnd: has no such time: '2026-11-04T00:00:00+24:00'; write it like 2026-11-03T00:00:00Z",
        ),
        (
            {"ChargePeriodEnd": "2026-11-03T00:00:00Z"},
            "ChargePeriodEnd: must be after ChargePeriodStart, got '2026-11-03T00:00:00Z'",
        ),
        (
            {"ChargePeriodEnd": "2028-11-03T00:00:00Z"},
            "ChargePeriodEnd: must be at most 366 days after ChargePeriodStart, got 731 days",
        ),
        ({"Tags": "agent=coder"}, 'Tags: must be a JSON object such as {"agent": "copilot_hr"}, got \'agent=coder\''),
        ({"Tags": "[" * 100_000}, 'Tags: must be a JSON object such as {"agent": "copilot_hr"}, got \'' + "[" * 60),
        (
            tagged(**{"user:agent": "co der"}),
            "Tags, user:agent: must be an agent's id, 1 to 128 letters, digits or _ . @ -, got 'co der'",
        ),
        (tagged(agent=["a"]), "Tags, agent: must be an agent's id, 1 to 128 letters, digits or _ . @ -, got '[\"a\"]'"),
    ],
)
def test_a_bad_line_is_named_with_its_column_and_the_fix(row: dict[str, str], said: str) -> None:
    with pytest.raises(BillError) as caught:
        read(CODER, row)
    assert str(caught.value).startswith(f"f.csv: nothing was imported: line 3: {said}")


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-11-26", "2026-11-27", "line 2: ChargePeriodStart: must not be in the future, got '2026-11-26' and"),
        ("2026-11-01", "2026-12-01", "line 2: ChargePeriodEnd: must not be in the future, got '2026-12-01' and"),
    ],
)
def test_use_in_the_future_is_refused(start: str, end: str, said: str) -> None:
    row = {**CODER, "ChargePeriodStart": start, "ChargePeriodEnd": end}
    today = date(2026, 11, 25)
    with pytest.raises(BillError, match="nothing was imported") as caught:
        read(row, today=today)
    assert said in str(caught.value)
    assert read({**row, "ChargeCategory": "Purchase"}, today=today).rows == 1


def test_a_period_may_last_until_the_end_of_today() -> None:
    row = {**CODER, "ChargePeriodStart": "2026-11-25", "ChargePeriodEnd": "2026-11-26"}
    assert read(row, today=date(2026, 11, 25)).total_micros == 1_500_000


def test_spreading_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MOST_CELLS", 20)
    month = {**CODER, "ChargePeriodStart": "2026-11-01", "ChargePeriodEnd": "2026-12-01"}
    with pytest.raises(BillError, match="file: has more than 20 agent-days"):
        read(month)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["coder", "copilot", None]),
        st.integers(1, 5),
        st.integers(0, 23),
        st.integers(1, 100),
        st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=8),
        st.booleans(),
    ),
    min_size=1,
    max_size=15,
)


@given(rows=ROWS, seed=st.integers(0, 1_000))
def test_nothing_is_lost_and_the_order_of_lines_makes_no_difference(rows: list[Any], seed: int) -> None:
    lines = []
    for agent, day, hour, hours, amount, correction in rows:
        last = hour + hours
        lines.append(
            {
                "BilledCost": str(amount),
                "ChargePeriodStart": f"2026-11-{day:02}T{hour:02}:00:00Z",
                "ChargePeriodEnd": f"2026-11-{day + last // 24:02}T{last % 24:02}:00:00Z",
                "ChargeClass": "Correction" if correction else "",
                **(tagged(agent=agent) if agent else {}),
            }
        )
    bill = read(*lines)
    random.Random(seed).shuffle(lines)
    again = read(*lines)
    assert (again.amounts, again.days, again.only_corrections) == (bill.amounts, bill.days, bill.only_corrections)
    assert again.unassigned == bill.unassigned
    exact = sum((row[4] for row in rows if row[0]), Decimal(0))
    # Each agent-day is rounded once, by at most half a micro-dollar.
    assert abs(to_usd(bill.total_micros) - exact) <= Decimal("0.0000005") * bill.agent_days
    assert sum((each.amount for each in bill.unassigned.values()), Decimal(0)) == sum(
        (row[4] for row in rows if not row[0]), Decimal(0)
    )
