"""A report as one HTML file: it fetches nothing, runs nothing, and prints on A4. Pure; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape


@dataclass(frozen=True, slots=True)
class Figure:
    """A finding, its figure as SVG that is safe already, and a note."""

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table: words, to the right when it is a number, or a figure that is safe already."""

    text: str
    number: bool = False
    svg: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its title."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. `standing` is good, warning, bad or unknown and colours the verdict."""

    title: str
    organization: str
    period: str
    standing: str
    verdict: str
    sentences: Sequence[str]
    numbers: Sequence[tuple[str, str, str]]
    figures: Sequence[Figure]
    tables: Sequence[Table]
    notes: Sequence[str]
    made_at: datetime
    data_to: datetime | None
    made_from: str = "Bursar"


def report_html(report: Report) -> str:
    """The whole file."""
    title = f"{report.title} · {report.organization} · {report.period}"
    data_to = "no data yet" if report.data_to is None else f"data to {_instant(report.data_to)}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            # Nothing may be loaded or run, whatever the text was.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<header><h1>{escape(report.title)}</h1>",
            f"<p>{escape(report.organization)} · {escape(report.period)}</p></header>",
            f'<section class="verdict {escape(report.standing)}"><h2>{escape(report.verdict)}</h2>',
            *(f"<p>{escape(sentence)}</p>" for sentence in report.sentences),
            "</section>",
            f'<section class="numbers">{"".join(_number(*number) for number in report.numbers)}</section>',
            *(_figure(figure) for figure in report.figures),
            *(_table(table) for table in report.tables),
            "<footer>",
            *(f"<p>{escape(note)}</p>" for note in report.notes),
            f"<p>Made at {_instant(report.made_at)} by {escape(report.made_from)} from {escape(data_to)}.</p>",
            "</footer></body></html>",
            "",
        ]
    )


def _number(label: str, value: str, beside: str) -> str:
    return f"<div><h3>{escape(label)}</h3><b>{escape(value)}</b><p>{escape(beside)}</p></div>"


def _figure(figure: Figure) -> str:
    note = f'<p class="note">{escape(figure.note)}</p>' if figure.note else ""
    return f"<figure><figcaption>{escape(figure.title)}</figcaption>{figure.svg}{note}</figure>"


def _table(table: Table) -> str:
    kinds = table.rows[0] if table.rows else ()
    head = "".join(
        f"<th{_kind(kinds[index].number) if index < len(kinds) else ''}>{escape(name)}</th>"
        for index, name in enumerate(table.head)
    )
    rows = "".join(
        f"<tr>{''.join(f'<td{_kind(cell.number)}>{cell.svg or escape(cell.text)}</td>' for cell in row)}</tr>"
        for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f"<section><h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{note}</section>"
    )


def _kind(number: bool) -> str:
    return ' class="number"' if number else ""


def _instant(instant: datetime) -> str:
    return f"{instant:%d %b %Y, %H:%M:%S} UTC"


_STYLE = """
:root { color-scheme: light; }
@page { size: A4; margin: 14mm; }
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1B2433;
  background: #fff; max-width: 900px; margin: 24px auto; padding: 0 20px; overflow-wrap: anywhere; }
header { border-bottom: 2px solid #173F8A; margin-bottom: 14px; }
h1 { font-size: 24px; margin: 0; } header p { margin: 2px 0 8px; color: #5C6779; }
h2 { font-size: 16px; margin: 18px 0 6px; } h3 { font-size: 12px; font-weight: 500; color: #5C6779; margin: 0; }
.verdict { border-left: 5px solid #5C6779; background: #F4F6FA; padding: 8px 14px; }
.verdict h2 { margin: 0; } .verdict p { margin: 2px 0; }
.good { border-color: #1B7F4B; } .warning { border-color: #C77700; } .bad { border-color: #C62828; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 14px 0; }
.numbers div { border: 1px solid #D8DEE9; border-radius: 6px; padding: 8px 10px; }
.numbers b { font-size: 21px; } .numbers p { margin: 0; font-size: 12px; color: #5C6779; }
figure { margin: 14px 0; break-inside: avoid; } figcaption { font-weight: 600; margin-bottom: 4px; }
svg { display: block; max-width: 100%; }
.legend { margin: 2px 0 0; font-size: 12px; color: #5C6779; } .legend span { margin-right: 14px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
table { border-collapse: collapse; width: 100%; font-size: 12px; }
th, td { text-align: left; padding: 4px 8px; border-bottom: 1px solid #E6EBF4; vertical-align: middle; }
th { color: #5C6779; font-weight: 600; } td:first-child { min-width: 96px; }
.number { text-align: right; } td.number { white-space: nowrap; }
thead { display: table-header-group; } tr { break-inside: avoid; }
.note, footer { font-size: 12px; color: #5C6779; } footer { border-top: 1px solid #D8DEE9; margin-top: 18px; }
footer p { margin: 4px 0; }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 11px; }
  .numbers { grid-template-columns: repeat(5, 1fr); gap: 6px; } .numbers div { padding: 6px 7px; }
  .numbers b { font-size: 17px; } .numbers p, h3, table { font-size: 10px; } th, td { padding: 3px 6px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
""".strip()
