"""Time windows that cannot be used are refused when they are made, by the name of the part that is wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from engine.policy.time_window import TimeWindowCondition

OFFICE = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "start_time": "09:00",
    "end_time": "17:00",
    "timezone": "America/New_York",
}
CHRISTMAS = {"start": "2025-12-25T00:00:00Z", "end": "2025-12-26T00:00:00Z"}
NOT_DAYS: list[Any] = [None, [], "monday", 5, ["mon"], ["monday", ""], [None], [["monday"]]]
NOT_CLOCKS: list[Any] = [
    None, "", "9:00", "25:00", "24:01", "24:00:00", "09:60", "09:00:60", "09:00Z", " 09:00", "09:00\n", "٠٩:٠٠",
    540, 9.0,
]  # fmt: skip
NOT_ZONES: list[Any] = [
    None, "", "EST5", "Mars/Base", "America", "../UTC", "/etc/localtime", "UTC\0", "x" * 5000, 5, b"UTC", ["UTC"], {},
]  # fmt: skip
NOT_INSTANTS: list[Any] = [
    None, "", "christmas", "2025-12-25", "2025-12-25T00:00:00", "2025-13-01T00:00:00Z", 1766620800, date(2025, 12, 25),
    datetime(2025, 12, 25), datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),  # noqa: DTZ001 - meant
]  # fmt: skip
NOT_LISTS: list[Any] = [[], (), "2025-12-25", CHRISTMAS, 5]
SENSELESS_WINDOWS: list[tuple[str, Any]] = [
    *(("", windows) for windows in NOT_LISTS),
    (r"\.0", ["2025-12-25"]),
    (r"\.1", [CHRISTMAS, None]),
    (r"\.0\.until", [{**CHRISTMAS, "until": "x"}]),
    *((rf"\.1\.{edge}", [CHRISTMAS, {**CHRISTMAS, edge: at}]) for edge in ("start", "end") for at in NOT_INSTANTS),
    (r"\.0\.start", [{"end": CHRISTMAS["end"]}]),
    (r"\.0\.end", [{"start": CHRISTMAS["start"]}]),
    (r"\.0\.end", [{"start": CHRISTMAS["end"], "end": CHRISTMAS["start"]}]),
    (r"\.0\.end", [{"start": CHRISTMAS["start"], "end": CHRISTMAS["start"]}]),
    (r"\.0\.end", [{"start": "2025-12-25T00:00:00Z", "end": "2025-12-25T01:00:00+01:00"}]),
]


def test_business_hours_and_maintenance_windows_are_two_conditions() -> None:
    choices: list[dict[str, Any]] = [{}, {"business_hours": OFFICE, "maintenance_windows": [CHRISTMAS]}]
    for both in choices:
        with pytest.raises(ValueError, match=r"^business_hours: give either business_hours or maintenance_windows"):
            TimeWindowCondition(**both)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        *(("days", {"days": days}) for days in NOT_DAYS),
        *((edge, {edge: clock}) for edge in ("start_time", "end_time") for clock in NOT_CLOCKS),
        ("start_time", {"start_time": "24:00"}),
        ("start_time", {"start_time": "24:00", "end_time": "06:00"}),
        *(("end_time", {"start_time": clock, "end_time": clock}) for clock in ("00:00", "09:00", "24:00")),
        ("end_time", {"start_time": "09:00", "end_time": "09:00:00"}),
        *(("timezone", {"timezone": name}) for name in NOT_ZONES),
        ("zone", {"zone": "UTC"}),
    ],
)
def test_business_hours_that_cannot_be_used_are_refused_by_the_name_of_the_part(
    field: str, changed: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=rf"^business_hours\.{field}: "):
        TimeWindowCondition({**OFFICE, **changed})


@pytest.mark.parametrize("field", OFFICE)
def test_every_part_of_business_hours_is_needed(field: str) -> None:
    with pytest.raises(ValueError, match=rf"^business_hours\.{field}: is missing$"):
        TimeWindowCondition({key: value for key, value in OFFICE.items() if key != field})


def test_a_zone_that_is_another_one_on_every_machine_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^business_hours\.timezone: "):
        TimeWindowCondition({**OFFICE, "timezone": "localtime"})


@pytest.mark.parametrize("values", ["09:00-17:00", 5, [OFFICE], ["days"]])
def test_business_hours_are_a_mapping(values: Any) -> None:
    with pytest.raises(ValueError, match=r"^business_hours: must have days, start_time, end_time, timezone, got "):
        TimeWindowCondition(values)


@pytest.mark.parametrize(("field", "windows"), SENSELESS_WINDOWS)
def test_maintenance_windows_that_cannot_be_used_are_refused_by_the_name_of_the_part(field: str, windows: Any) -> None:
    with pytest.raises(ValueError, match=rf"^maintenance_windows{field}: "):
        TimeWindowCondition(maintenance_windows=windows)


def test_a_time_without_an_offset_is_told_how_to_write_it() -> None:
    with pytest.raises(ValueError, match=r"needs an offset from UTC, such as 2025-12-25T00:00:00Z or "):
        TimeWindowCondition(maintenance_windows=[{**CHRISTMAS, "start": "2025-12-25T00:00:00"}])
