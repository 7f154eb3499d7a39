"""Bills with one line for each agent and day: what is read, and every refusal's sentence."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pricing.billing import sums
from engine.pricing.billing.problems import BillError
from engine.pricing.billing.reading import BillOptions, read_bill
from engine.pricing.billing.tally import Bill

NOV = date(2026, 11, 3)
HEADER = "agent,day,amount"


def read(text: str, **options: Any) -> Bill:
    return read_bill("bill.csv", text.splitlines(keepends=True), BillOptions(**options))


def refused(text: str, **options: str) -> str:
    with pytest.raises(BillError) as caught:
        read(text, **options)
    said = str(caught.value)
    assert said.startswith("bill.csv: nothing was imported: ")
    return said.removeprefix("bill.csv: nothing was imported: ")


@pytest.mark.parametrize(
    "text",
    [
        "agent,day,amount\ncoder,2026-11-03,1.25\n",
        "\ufeffAgent_ID;Date;Cost_USD;Currency\r\n coder ; 2026-11-03 ;1.25;usd\r\n",
        '\n\n"AGENT","note, if any","day","cost"\n"coder","a, b\nc","2026-11-03","+1.25"\n\n',
        "team,amount_usd,date,agent,\neng,125e-2,2026-11-03,coder,\n",
        "agent,day,amount,note\ncoder,2026-11-03,1.25,a; b; c; d\n",
    ],
)
def test_the_same_bill_in_many_forms(text: str) -> None:
    bill = read(text)
    assert (bill.kind, bill.rows) == ("simple", 1)
    assert bill.amounts == {"coder": {NOV: 1_250_000}}
    assert bill.days == {NOV}


def test_the_agents_column_may_have_another_name() -> None:
    text = "agent,bot,day,amount\nx y,coder,2026-11-03,1\n"
    assert read(text, agent_column="BOT").amounts == {"coder": {NOV: 1_000_000}}
    assert refused(text, agent_column="robot") == (
        "--agent-column: 'robot' is not among the columns agent, bot, day, amount"
    )


def test_lines_of_one_agent_and_day_are_added_up_and_rounded_once() -> None:
    lines = "coder,2026-11-03,0.0000005\n" * 3
    assert read(f"{HEADER}\n{lines}").amounts == {"coder": {NOV: 2}}
    assert read(f"{HEADER}\ncoder,2026-11-03,0.0000025\n").amounts == {"coder": {NOV: 2}}


AGENT_LINES = st.lists(
    st.tuples(
        st.sampled_from(["coder", "copilot", "a@b.c"]),
        st.integers(1, 3),
        st.decimals(0, 10**9 // 100, allow_nan=False, allow_infinity=False, places=9),
    ),
    min_size=1,
    max_size=30,
)


@given(lines=AGENT_LINES, order=st.randoms())
def test_the_order_of_lines_makes_no_difference(lines: list[tuple[str, int, Decimal]], order: random.Random) -> None:
    written = [f"{agent},2026-11-0{day},{amount}\n" for agent, day, amount in lines]
    before = read_bill("x", [HEADER + "\n", *written], BillOptions()).amounts
    order.shuffle(written)
    assert read_bill("x", [HEADER + "\n", *written], BillOptions()).amounts == before
    for agent, days in before.items():
        for day, micros in days.items():
            exact = sum(
                (Fraction(amount) for who, when, amount in lines if (who, when) == (agent, day.day)), Fraction()
            )
            assert micros == round(exact * 1_000_000)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "co der,2026-11-03,1",
            "agent: must be an agent's id, 1 to 128 letters, digits or _ . @ -, got 'co der'",
        ),
        (",2026-11-03,1", "agent: must be an agent's id, 1 to 128 letters, digits or _ . @ -, got nothing"),
        ("coder,03.11.2026,1", "day: must be a day such as 2026-11-03, got '03.11.2026'"),
        ("coder,2026-02-30,1", "day: must be a day such as 2026-11-03, got '2026-02-30'"),
        ("coder,0026-11-03,1", "day: must be a day such as 2026-11-03, got '0026-11-03'"),
        ("coder,20261103,1", "day: must be a day such as 2026-11-03, got '20261103'"),
        ("coder,,1", "day: must be a day such as 2026-11-03, got nothing"),
        ("coder,2026-11-03,", "amount: is empty; write what was billed in US dollars, such as 12.34"),
        ("coder,2026-11-03,NaN", "amount: must be a number of US dollars such as 12.34, got 'NaN'"),
        ("coder,2026-11-03,-inf", "amount: must be a number of US dollars such as 12.34, got '-inf'"),
        ("coder,2026-11-03,1_000", "amount: must be a number of US dollars such as 12.34, got '1_000'"),
        ("coder,2026-11-03,$5", "amount: must be a number of US dollars such as 12.34, got '$5'"),
        (
            'coder,2026-11-03,"1,234.56"',
            "amount: must have a point before the cents and nothing between thousands, as in 1234.56, got '1,234.56'",
        ),
        (
            "coder,2026-11-03,-1",
            "amount: must not be negative, got '-1'; take it off what was billed for that day",
        ),
        ("coder,2026-11-03,1000000000.01", "amount: must be at most $1,000,000,000, got '1000000000.01'"),
        ("coder,2026-11-03,1e999", "amount: must be at most $1,000,000,000, got '1e999'"),
        ("coder,2026-11-03,1e-41", "amount: must have at most 40 digits after the point, got '1e-41'"),
        (f"coder,2026-11-03,0.{'1' * 99}", "amount: must have at most 100 characters, got 101"),
        ("coder,2026-11-03", "has 2 fields and the header 3; put fields that contain the separator in double quotes"),
        (
            "coder,2026-11-03,1,5",
            "has 4 fields and the header 3; put fields that contain the separator in double quotes",
        ),
        (
            'coder,2026-11-03,"1"0',
            "has a double quote in the wrong place; write a double quote inside a quoted field twice",
        ),
        ('coder,2026-11-03,"1', "a field does not end; close its double quotes"),
        (
            "coder,2026-11-03,1\rcoder,2026-11-03,1",
            "its line ends are of another kind; save the file with LF or CR LF line ends",
        ),
    ],
)
def test_a_bad_line_is_named_with_its_column_and_the_fix(line: str, said: str) -> None:
    with pytest.raises(BillError) as caught:
        read_bill("b", [f"{HEADER}\n", "coder,2026-11-02,1\n", line], BillOptions())
    assert str(caught.value) == f"b: nothing was imported: line 3: {said}"


@pytest.mark.parametrize("currency", ["EUR", "", "US$"])
def test_other_currencies_are_refused(currency: str) -> None:
    said = refused(f"agent,day,amount,currency\ncoder,2026-11-03,1,{currency}\n")
    got = repr(currency) if currency else "nothing"
    assert said == f"line 2: currency: must be USD, got {got}; have the bill in US dollars or convert it first"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        (HEADER, "the file has no lines below its header"),
        (
            "agent,day,amount,DAY\nx,2026-11-03,1,2026-11-03\n",
            "header: the column 'day' is there more than once; rename or remove one of them",
        ),
        (
            "agent,day,amount,cost\nx,2026-11-03,1,2\n",
            "header: has amount and cost, of which one can be meant; remove the others",
        ),
        (
            "who,when\nx,2026-11-03\n",
            (
                "header: has the columns who, when; needed are agent, day and amount (also called agent_id, date, and "
                "amount_usd, cost or cost_usd), or those of FOCUS: BilledCost, BillingCurrency, ChargePeriodStart, "
                "ChargePeriodEnd, ChargeCategory"
            ),
        ),
        (
            "agent,day,BilledCost,ChargeCategory\nx,2026-11-03,1,Usage\n",
            (
                "header: looks like FOCUS but lacks BillingCurrency, ChargePeriodStart, ChargePeriodEnd; "
                "it has agent, day, BilledCost, ChargeCategory"
            ),
        ),
    ],
)
def test_a_file_that_is_no_bill_is_refused_as_a_whole(text: str, said: str) -> None:
    assert refused(text) == said


def test_a_header_cannot_move_the_cursor() -> None:
    assert "\x1b" not in refused("a\x1b[2Jgent,day,amount\nx,2026-11-03,1\n")


def test_many_columns_are_named_shortly() -> None:
    said = refused(",".join(f"c{number}" for number in range(30)) + "\n")
    assert "has the columns c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 and 18 more; needed" in said


def test_of_many_problems_the_first_ten_are_said_and_all_are_counted() -> None:
    bad = "".join(f"coder,2026-11-03,x{number}\n" for number in range(1_234))
    said = refused(f"{HEADER}\n{bad}").splitlines()
    assert said[0] == "1,234 problems"
    assert said[1] == "  line 2: amount: must be a number of US dollars such as 12.34, got 'x0'"
    assert said[11:] == ["  ... and 1,224 more"]


def test_line_numbers_count_every_line_of_the_file() -> None:
    said = refused('\nagent,day,amount,note\n\ncoder,2026-11-03,1,"two\nlines"\ncoder,2026-11-03,x,\n')
    assert said == "line 6: amount: must be a number of US dollars such as 12.34, got 'x'"


def test_too_much_for_one_agent_and_day_is_refused() -> None:
    said = refused(f"{HEADER}\n" + "coder,2026-11-03,900000000\n" * 2)
    assert said == "coder on 2026-11-03: its lines add up to more than $1,000,000,000; correct them"


def test_a_bill_of_too_many_agent_days_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MOST_CELLS", 2)
    lines = "".join(f"coder,2026-11-0{day},1\n" for day in (1, 2, 2, 3, 4))
    assert refused(f"{HEADER}\n{lines}") == (
        "line 5: has more than 2 agent-days; import it in parts, such as a month each"
    )


def test_the_cost_column_is_for_focus_files() -> None:
    said = refused(f"{HEADER}\ncoder,2026-11-03,1\n", cost_column="BilledCost")
    assert said == "--cost-column: is for FOCUS files, and this is a simple one"


def test_a_day_in_the_future_is_refused_with_its_line_and_column() -> None:
    text = "agent,date,amount\ncoder,2026-11-25,1\ncoder,2026-11-26,1\n"
    with pytest.raises(BillError) as caught:
        read_bill("bill.csv", text.splitlines(keepends=True), BillOptions(today=date(2026, 11, 25)))
    assert str(caught.value) == (
        "bill.csv: nothing was imported: line 3: date: must not be in the future, got '2026-11-26' and today is "
        "2026-11-25 (UTC); correct it, or import it when it is over"
    )
