"""Any review in words: a headline, a few lines, or all of it. Pure."""

from __future__ import annotations

from engine.reviews.content import DailyReview, Review, WeeklyReview
from engine.reviews.sections import Section
from engine.reviews.telling_days import daily_digest, daily_headline, daily_sections
from engine.reviews.telling_months import monthly_digest, monthly_headline, monthly_sections
from engine.reviews.telling_weeks import weekly_digest, weekly_headline, weekly_sections


def headline(review: Review) -> str:
    """Which review of whom, and what it came to."""
    if isinstance(review, DailyReview):
        return daily_headline(review)
    return weekly_headline(review) if isinstance(review, WeeklyReview) else monthly_headline(review)


def digest(review: Review) -> tuple[str, ...]:
    """Four to six lines for a chat."""
    if isinstance(review, DailyReview):
        return daily_digest(review)
    return weekly_digest(review) if isinstance(review, WeeklyReview) else monthly_digest(review)


def sections(review: Review) -> tuple[Section, ...]:
    """All of it, for letters and pages."""
    if isinstance(review, DailyReview):
        return daily_sections(review)
    return weekly_sections(review) if isinstance(review, WeeklyReview) else monthly_sections(review)


def all_lines(review: Review) -> list[str]:
    """All of it as plain text, one thing a line; charts as their words."""
    lines = [headline(review)]
    for section in sections(review):
        lines += ["", section.title, *section.sentences]
        for bar in section.bars:
            lines.append(f"  {bar.label}: {bar.words}")
            lines += [f"    {bar.note}"] if bar.note else []
        lines += section.after
    return lines
