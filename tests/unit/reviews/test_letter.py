"""The letter: markup that every mail program takes, with nothing in it that was not meant."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from engine.alerting.alert_message import AlertMessage
from engine.reviews.content import Review, kind_of
from engine.reviews.sections import Bar
from engine.reviews.telling import digest, headline, sections
from jobs.reviews.letter import _cells, review_html, review_text
from jobs.reviews.notice import review_message
from tests.unit.reviews.reviews_by_hand import ALL, DAILY, ODD

LINK = "https://bursar.test/reviews?org=acme&kind=daily"
TAGS = {"html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "h1", "h2", "p", "span", "strong",
        "a"}  # fmt: skip


class Read(HTMLParser):
    """The tags, their attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_it_is_well_formed_and_loads_nothing(review: Review) -> None:
    markup = review_html(review, link=LINK)
    read = Read(markup)
    assert read.open == []
    assert {tag for tag, _ in read.tags} <= TAGS
    assert not any(name.startswith("on") or name in ("src", "background") for _, attrs in read.tags for name in attrs)
    assert "url(" not in markup
    assert "@import" not in markup
    assert [attrs["href"] for tag, attrs in read.tags if tag == "a"] == [LINK]
    # Mail programs cut what is longer than about 100 KB.
    assert len(markup.encode()) < 90_000


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_it_says_all_that_the_text_says(review: Review) -> None:
    words = re.sub(r"\s+", " ", " ".join(Read(review_html(review, link=LINK)).words))
    plain = review_text(review, link=LINK)
    assert plain.endswith(f"{LINK}\n")
    for section in sections(review):
        for sentence in (section.title, *section.sentences, *section.after):
            assert sentence in words
            assert sentence in plain
        for bar in section.bars:
            for part in (bar.label, bar.words, bar.note):
                assert part in words
                assert part in plain


def test_a_name_is_no_markup() -> None:
    for review in ALL:
        markup = review_html(review)
        assert ODD not in markup
        assert ODD in unescape(markup)


def test_no_column_is_wider_than_a_letter() -> None:
    for review in ALL:
        for _, attrs in Read(review_html(review)).tags:
            for width in re.findall(r"(?<![-\w])(?:max-)?width:(\d+)px", attrs.get("style") or ""):
                assert int(width) <= 640


@pytest.mark.parametrize(
    ("share", "widths"),
    [
        (0.0, ["100%"]),
        (0.001, ["1%", "99%"]),
        (0.436, ["44%", "56%"]),
        (0.999, ["99%", "1%"]),
        (0.005, ["1%", "99%"]),
        (0.125, ["13%", "87%"]),
        (1.0, ["100%"]),
    ],
)
def test_a_bar_is_as_long_as_its_share(share: float, widths: list[str]) -> None:
    cells = [attrs for tag, attrs in Read(_cells(Bar("x", share, "x"))).tags if tag == "td"]
    assert [cell["width"] for cell in cells] == widths
    assert all(f"width:{cell['width']}" in str(cell["style"]) for cell in cells)
    if share == 0:
        assert cells[0]["class"] == "b-track"


def test_a_link_that_is_no_web_address_is_left_out() -> None:
    assert "<a " not in review_html(DAILY, link="javascript:alert(1)")


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_its_notification_is_the_digest_and_calls_nobody(review: Review) -> None:
    message = review_message(review, dashboard_url="https://bursar.test/")
    assert (message.title, message.details) == (headline(review), digest(review))
    assert (message.severity, message.kind, message.alert_id, message.mention) == ("info", "review", "", None)
    assert message.page_link.startswith(f"https://bursar.test/reviews?org=acme&kind={kind_of(review)}&period=")
    assert AlertMessage.from_json(message.to_json()) == message
