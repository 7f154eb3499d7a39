from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from dashboard.cards import Number
from dashboard.charts.spend import spend_over_time
from dashboard.charts.svg import Line, Series, diverging_svg, lines_svg, stacks_svg
from dashboard.palette import palette_for
from dashboard.parts.spend_headline import Headline
from dashboard.parts.spend_report import burn_up_svg, spend_report
from dashboard.parts.spend_rows import Row
from dashboard.reading.spend_month import Comparison, Plan, month_of_days
from dashboard.report import report_html
from dashboard.windows import Window
from engine.ledger.queries.spend import Move
from engine.ledger.queries.usage_series import UsageCell

USD = 1_000_000
NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)
HOSTILE = "<script src=//evil.example/x.js></script>\"'&<img src=x onerror=alert(1)>"
VOID = {"meta", "line", "rect", "polyline", "polygon"}


class Elements(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def made(name: str) -> str:
    days = {NOW.date() - timedelta(days=number): 10 * USD for number in range(60)}
    start = NOW - timedelta(hours=24)
    bars = spend_over_time(
        [UsageCell(start, name, "allowed", "allowed", 1, USD)], Window("hour", start, NOW), name, palette_for("light")
    )
    return report_html(
        spend_report(
            org_id=name,
            narrowing={"team": name},
            data_to=NOW,
            month=month_of_days(days, now=NOW, zone="UTC", plan=Plan(name, 200 * USD)),
            headline=Headline("bad", name, (name,)),
            numbers=[Number(name, name, name, name)],
            moves=[Move(name, 3 * USD, USD), Move(name, 0, USD)],
            comparison=Comparison(start, NOW, start, start, name, name),
            bars=bars,
            rows=[Row(name, USD, USD, 0.5, None, (1, 2, 3), 1, None)],
            level="agent",
            words=name,
        )
    )


def test_names_are_text_and_nothing_can_be_loaded_or_run() -> None:
    read = Elements()
    read.feed(made(HOSTILE))
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "section", "div", "b"}
    allowed |= {"figure", "figcaption", "svg", "text", "span", "i", "table", "thead", "tbody", "tr", "th", "td"}
    assert read.tags <= allowed | VOID | {"footer"}
    assert not {name for name in read.attributes if name.startswith("on") or name in ("src", "href")}
    assert sum(HOSTILE in text for text in read.text) >= 8
    assert "default-src 'none'" in made("x")


def test_it_says_whose_it_is_when_it_was_made_and_from_which_data() -> None:
    read = Elements()
    read.feed(made("acme"))
    text = " ".join(read.text)
    assert "acme (team acme only)" in text
    assert "November 2026 until 16 Nov 2026" in text
    assert "Made at 16 Nov 2026, 09:00:00 UTC by Bursar from data to 16 Nov 2026, 09:00:00 UTC." in text
    assert "Months and days are those of UTC" in text


def drawn(svg: str, tag: str) -> list[dict[str, str]]:
    picture = ElementTree.fromstring(svg.split("<p class", maxsplit=1)[0])
    return [dict(element.attrib) for element in picture.iter(tag)]


def test_bars_are_drawn_to_scale_from_one_line() -> None:
    rows = [("up", 2.0, "+$2.00"), ("down", -1.0, "-$1.00")]
    up, down = drawn(diverging_svg(rows, "#111", "#222", "x"), "rect")
    assert float(up["width"]) == pytest.approx(2 * float(down["width"]), abs=0.2)
    assert float(down["x"]) + float(down["width"]) == pytest.approx(float(up["x"]), abs=0.2)
    assert (up["fill"], down["fill"]) == ("#111", "#222")


def test_stacks_stand_on_each_other_and_the_last_is_fainter() -> None:
    series = [Series("a", "#111", [3.0, 1.0]), Series("b", "#222", [1.0, 1.0])]
    first, above, *last = drawn(stacks_svg(series, [], "x", last_fainter=True), "rect")
    assert float(first["height"]) == pytest.approx(3 * float(above["height"]), abs=0.3)
    assert float(above["y"]) + float(above["height"]) == pytest.approx(float(first["y"]), abs=0.2)
    assert [bar["fill-opacity"] for bar in (first, above, *last)] == ["1", "1", "0.5", "0.5"]


def test_the_plan_ends_where_the_budget_is() -> None:
    days = {NOW.date() - timedelta(days=number): 10 * USD for number in range(60)}
    month = month_of_days(days, now=NOW, zone="UTC", plan=Plan("org", 200 * USD))
    last_month, plan, budget, forecast, spent = (
        line["points"].split() for line in drawn(burn_up_svg(month), "polyline")
    )
    assert plan[-1] == budget[-1]
    assert len(spent) == NOW.day + 1
    assert len(last_month) == 31
    assert forecast[0] == spent[-1]


def test_an_axis_ends_above_the_highest_amount() -> None:
    for highest in (0.0004, 0.9, 7.0, 99.0, 101.0, 12_345.0):
        [line] = drawn(lines_svg([Line("a", [(0, 0), (1, highest)], "#111")], [], "#111", [], "x"), "polyline")
        top = float(line["points"].split()[-1].split(",")[1])
        assert 10 <= top < 110, highest


def test_nothing_to_draw_is_no_figure() -> None:
    assert diverging_svg([], "#111", "#222", "x") == ""
    assert drawn(stacks_svg([], [], "x", last_fainter=False), "rect") == []
