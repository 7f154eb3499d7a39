"""Read a bill: from lines of text to what was billed by agent and UTC day."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from engine.errors import InvalidValue
from engine.pricing.billing.charge import BillFormat
from engine.pricing.billing.focus import COST_COLUMNS, FocusBill, is_focus, missing_columns
from engine.pricing.billing.header import Header, delimiter_of
from engine.pricing.billing.problems import Problems
from engine.pricing.billing.simple import SimpleBill, is_simple
from engine.pricing.billing.sums import TooManyCells
from engine.pricing.billing.tally import Bill, Tally

_NEEDED = (
    "needed are agent, day and amount (also called agent_id, date, and amount_usd, cost or cost_usd), or those of "
    "FOCUS: BilledCost, BillingCurrency, ChargePeriodStart, ChargePeriodEnd, ChargeCategory"
)


@dataclass(frozen=True, slots=True)
class BillOptions:
    """How to read a bill. `registered` are the agents that a FOCUS resource may be; a column `None` is the usual.

    Usage after `today`, the UTC day of now, is refused; without it none is.
    """

    registered: Collection[str] = ()
    agent_column: str | None = None
    cost_column: str | None = None
    today: date | None = None


def read_bill(name: str, lines: Iterable[str], options: BillOptions) -> Bill:
    """Read the bill called `name`, line by line, keeping only sums.

    1. The header says which kind of bill it is and what is between its columns.
    2. Usage is summed exactly by agent and day, a longer period spread over its days; all else is summed apart.
    3. Each sum is rounded once, half-even, to the micro-dollar.

    Raises `BillError` for the first bad lines and the number of all. `lines` may raise it too.
    """
    problems = Problems(name)
    records = _records(iter(lines), problems)
    names = next(records, None)
    if names is None:
        problems.add("the file is empty")
        raise problems.error()
    form = _format(Header(names[1]), options, problems)
    tally = Tally()
    width = len(names[1])
    for line, cells in records:
        if len(cells) != width:
            problems.add(_ragged(len(cells), width), line=line)
            continue
        try:
            tally.add(form.charge([cell.strip() for cell in cells]))
        except TooManyCells as problem:
            problems.add(problem.problem, line=line)
            break
        except InvalidValue as problem:
            problems.add(problem, line=line)
    else:
        if not tally.rows:
            # Bad lines are a better reason than none.
            problems.refuse()
            problems.add("the file has no lines below its header")
    problems.refuse()
    return tally.finish(form.kind, problems)


def _records(lines: Iterator[str], problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first line, empty lines left out."""
    skipped = 0
    header = next(lines, "").removeprefix("\ufeff")
    while header and not header.strip():
        header = next(lines, "")
        skipped += 1
    reader = csv.reader(itertools.chain((header,), lines), delimiter=delimiter_of(header), strict=True)
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # What follows is not read: after such a line nobody knows where the next one starts.
            problems.add(_not_csv(str(error)), line=line)
            raise problems.error() from None
        if cells is None:
            return
        if cells:
            yield line, cells


def _format(header: Header, options: BillOptions, problems: Problems) -> BillFormat:
    """What reads the lines under this header. Raises `BillError`."""
    for column in header.repeated():
        problems.add(f"header: the column {column!r} is there more than once; rename or remove one of them")
    if options.agent_column is not None and header.place(options.agent_column) is None:
        problems.add(f"--agent-column: {options.agent_column!r} is not among the columns {header.listed()}")
    problems.refuse()
    cost_column = COST_COLUMNS[0] if options.cost_column is None else options.cost_column
    missing = missing_columns(header, cost_column)
    if not missing:
        return FocusBill(
            header,
            cost_column=cost_column,
            agent_column=options.agent_column,
            registered=options.registered,
            today=options.today,
        )
    if not is_simple(header, options.agent_column):
        if is_focus(header):
            problems.add(f"header: looks like FOCUS but lacks {', '.join(missing)}; it has {header.listed()}")
        else:
            problems.add(f"header: has the columns {header.listed()}; {_NEEDED}")
    elif options.cost_column is not None:
        problems.add("--cost-column: is for FOCUS files, and this is a simple one")
    problems.refuse()
    try:
        return SimpleBill(header, options.agent_column, options.today)
    except InvalidValue as problem:
        problems.add(problem)
        raise problems.error() from None


def _ragged(found: int, wanted: int) -> str:
    fields = "field" if found == 1 else "fields"
    return f"has {found:,} {fields} and the header {wanted:,}; put fields that contain the separator in double quotes"


def _not_csv(reason: str) -> str:
    if "field larger" in reason or "unexpected end" in reason:
        return "a field does not end; close its double quotes"
    if "new-line character" in reason:
        return "its line ends are of another kind; save the file with LF or CR LF line ends"
    return "has a double quote in the wrong place; write a double quote inside a quoted field twice"
