"""`bursar costs calibrate` and `bursar costs calibrations`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bursar.costs.counting import count_with_progress
from bursar.costs.wording import signed_share
from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.tables import say_table
from engine.clock import utc_now
from engine.ledger.calibrating import attempt, keep
from engine.ledger.calibrations import Calibration, Window, recent_calibrations, stored_calibration
from engine.ledger.price_books import label_of, live_book_version
from engine.pricing.challenger import Challenger
from engine.pricing.rows import decimal_text
from engine.settings import read_settings


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What the command line was given."""

    reason: str
    author: str | None
    fit_days: int
    dry_run: bool
    org: str | None
    as_json: bool


def run_calibrate(options: CalibrateOptions) -> None:
    """Count, fit, judge, and keep what comes of it."""
    author, reason = author_or_user(options.author), checked_reason(options.reason)
    now = utc_now()
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        count_with_progress(database, org_id, now)
        tried = attempt(database, org_id, now, fit_days=options.fit_days)
        kept: Calibration | None = None
        if not options.dry_run:
            kept = keep(database, org_id, tried, author, reason)
    challenger = tried.challenger
    if options.as_json:
        result = {"organization": org_id, "calibration": None if kept is None else kept.number}
        print(json.dumps({**result, **_challenger_json(challenger, tried.window, tried.champion)}, indent=2))
        return
    say_challenger(org_id, challenger, tried.window, tried.champion)
    if kept is None:
        why = "It was only tried" if options.dry_run and challenger.proposals else "There is nothing to keep"
        say(f"{why}: no calibration was made.")
    elif challenger.verdict.passed:
        say(f'Calibration {kept.number} is made; `bursar costs promote {kept.number} --reason "..."` puts it in force.')
    else:
        say(f"Calibration {kept.number} is made; it cannot be promoted.")


def run_calibrations(number: int | None, *, limit: int, org: str | None, as_json: bool) -> None:
    """List calibrations, or show one."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            live = live_book_version(connection, org_id)
            found = (
                recent_calibrations(connection, org_id, most=limit)
                if number is None
                else [stored_calibration(connection, org_id, number)]
            )
    if as_json:
        listed = [_calibration_json(each, live) for each in found]
        print(json.dumps(listed if number is None else listed[0], indent=2, ensure_ascii=False))
    elif number is not None:
        (one,) = found
        say(
            f"calibration {one.number}, {when(one.created_at)} by {one.author}: {one.reason} ({_state(one, live)})",
            "bold",
        )
        say_challenger(org_id, one.challenger, one.window, one.champion)
    elif not found:
        say(f"{org_id} has no calibration yet; `bursar costs calibrate` makes one")
    else:
        say_table(
            ("calibration", "made", "by", "reason", "against", "corrections", "backtest", "state"),
            [
                (
                    str(each.number),
                    when(each.created_at),
                    each.author,
                    each.reason,
                    label_of(each.champion),
                    str(len(each.challenger.proposals)),
                    "passed" if each.challenger.verdict.passed else "failed",
                    _state(each, live),
                )
                for each in found
            ],
            right=("calibration", "corrections"),
        )


def say_challenger(org_id: str, challenger: Challenger, window: Window, champion: int) -> None:
    """What is proposed, and what the backtest says of it."""
    say(
        f"{org_id}: fitted on {window.start} to just before {window.holdout}, judged on the days from then to just "
        f"before {window.end}, against price book {label_of(champion)}"
    )
    if challenger.proposals:
        say_table(
            ("segment", "calls", "bias", "factor", "buffer"),
            [
                (
                    str(each.segment),
                    f"{each.calls:,}",
                    signed_share(each.ratio - 1),
                    f"{decimal_text(each.old_factor)} -> {decimal_text(each.new_factor)}",
                    f"{each.old_buffer:.0%} -> {each.new_buffer:.0%}",
                )
                for each in challenger.proposals
            ],
            right=("calls", "bias", "factor", "buffer"),
        )
    for sentence in challenger.left_out:
        say(f"  not corrected: {sentence}", "yellow")
    for check in challenger.verdict.checks:
        say(f"  {'passed' if check.passed else 'failed'}: {check.sentence}", "green" if check.passed else "red")


def _state(calibration: Calibration, live: int) -> str:
    """As it is kept, or `outdated` when another price book is live than the one that it was judged against."""
    outdated = calibration.state == "proposed" and calibration.champion != live
    return "outdated" if outdated else calibration.state


def _calibration_json(calibration: Calibration, live: int) -> dict[str, Any]:
    return {
        "calibration": calibration.number,
        "created_at": calibration.created_at.isoformat(),
        "author": calibration.author,
        "reason": calibration.reason,
        "state": _state(calibration, live),
        **_challenger_json(calibration.challenger, calibration.window, calibration.champion),
    }


def _challenger_json(challenger: Challenger, window: Window, champion: int) -> dict[str, Any]:
    return {
        "price_book": label_of(champion),
        "fitted_from": str(window.start),
        "judged_from": str(window.holdout),
        "judged_until_before": str(window.end),
        "passed": challenger.verdict.passed,
        "checks": [check._asdict() for check in challenger.verdict.checks],
        "left_out": list(challenger.left_out),
        "proposals": [
            {
                **each.segment._asdict(),
                "calls": each.calls,
                "bias": each.ratio - 1,
                "bias_low": each.low - 1,
                "bias_high": each.high - 1,
                "old_factor": decimal_text(each.old_factor),
                "new_factor": decimal_text(each.new_factor),
                "old_buffer": decimal_text(each.old_buffer),
                "new_buffer": decimal_text(each.new_buffer),
            }
            for each in challenger.proposals
        ],
    }
