"""Recorded traces: good rows exactly, bad rows by their line, and no file that is something else."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.replay.traces import BadRow, Trace, TraceError, TraceRow

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def rows_of(tmp_path: Path, content: str | bytes) -> list[TraceRow | BadRow]:
    file = tmp_path / "trace.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(Trace(file))


def test_the_azure_format_is_read_with_its_seven_decimals_and_without_a_last_newline(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, f"{AZURE}\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319569,3180,8")
    first, second = rows
    assert isinstance(first, TraceRow)
    assert isinstance(second, TraceRow)
    assert (first.line, first.input_tokens, first.output_tokens, first.model) == (2, 4808, 10, None)
    assert first.at == pytest.approx(datetime(2023, 11, 16, 18, 17, 3, 979960, UTC).timestamp(), abs=1e-6)
    assert second.at - first.at == pytest.approx(0.0519969, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["2023-11-16 18:17:03", "2023-11-16T18:17:03Z", "2023-11-16 18:17:03.0+00:00", "2023-11-16 18:17:03.000"]
)
def test_other_spellings_of_a_moment_are_understood(tmp_path: Path, text: str) -> None:
    (row,) = rows_of(tmp_path, f"{AZURE}\n{text},1,2\n")
    assert isinstance(row, TraceRow)
    assert row.at == datetime(2023, 11, 16, 18, 17, 3, tzinfo=UTC).timestamp()


def test_the_burstgpt_format_is_read_with_its_model(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, f"{BURST}\n5,ChatGPT,472,18,490,Conversation log\n45.5,,1087,230,1317,API log\n")
    assert rows == [TraceRow(2, 5.0, 472, 18, "ChatGPT"), TraceRow(3, 45.5, 1087, 230, None)]


def test_a_byte_order_mark_windows_lines_quotes_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    content = '"TIMESTAMP","ContextTokens","GeneratedTokens"\r\n\r\n"2023-11-16 18:17:03.0",5,"6"\r\n,,\r\n'
    (row,) = rows_of(tmp_path, codecs.BOM_UTF8 + content.encode())
    assert isinstance(row, TraceRow)
    assert (row.line, row.input_tokens, row.output_tokens) == (3, 5, 6)


GOOD = "2023-11-16 18:17:03.9799600"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f"{GOOD},-5,10", "ContextTokens must be a whole number"),
        (f"{GOOD},5.0,10", "ContextTokens must be a whole number"),
        (f"{GOOD},5,1e3", "GeneratedTokens must be a whole number"),
        (f"{GOOD},5,", "GeneratedTokens must be a whole number"),
        (f"{GOOD},5,1000000001", "GeneratedTokens must be a whole number from 0 to 1,000,000,000"),
        (f"{GOOD},{'0' * 20}{'9' * 12},1", "ContextTokens must be a whole number"),
        (f"{GOOD},{'9' * 5000},1", "ContextTokens must be a whole number"),
        (f"{GOOD},٣,1", "ContextTokens must be a whole number"),
        (f"{GOOD},5\0,1", "ContextTokens must be a whole number"),
        (f"{GOOD},5", "has 2 columns instead of 3"),
        (f"{GOOD},5,6,7", "has 4 columns instead of 3"),
        ("yesterday,5,6", "TIMESTAMP must look like"),
        ("2023-11-16 18:17:03.,5,6", "TIMESTAMP must look like"),
        ("2023-11-16 18:17:03.1e5,5,6", "TIMESTAMP must look like"),
        ("2023-11-16 18:17:03.1_0,5,6", "TIMESTAMP must look like"),
        ("2023-13-16 18:17:03.1,5,6", "TIMESTAMP must look like"),
        (f'"{GOOD},"5,6,"', "has 4 columns instead of 3"),
        (f"{'x' * 200_000},5,6", "is not CSV: field larger than field limit"),
    ],
    ids=range(18),
)
def test_a_bad_row_is_named_by_its_line_and_spoils_no_other(tmp_path: Path, row: str, problem: str) -> None:
    before, bad, after = rows_of(tmp_path, f"{AZURE}\n{GOOD},1,2\n{row}\n{GOOD},3,4\n")
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert problem in bad.problem
    assert len(bad.problem) < 200
    assert isinstance(before, TraceRow)
    assert isinstance(after, TraceRow)
    assert (before.line, after.line) == (2, 4)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("nan,m,1,2,3,x", "Timestamp must be a number of seconds"),
        ("-1,m,1,2,3,x", "Timestamp must be a number of seconds"),
        ("inf,m,1,2,3,x", "Timestamp must be a number of seconds"),
        ("1,my model,1,2,3,x", "model: "),
        ("1,m\0,1,2,3,x", "model: "),
    ],
)
def test_a_bad_burstgpt_row_is_skipped_before_it_reaches_the_service(tmp_path: Path, row: str, problem: str) -> None:
    (bad,) = rows_of(tmp_path, f"{BURST}\n{row}\n")
    assert isinstance(bad, BadRow)
    assert problem in bad.problem


def test_bytes_that_are_no_text_spoil_their_own_row_only(tmp_path: Path) -> None:
    first, bad = rows_of(tmp_path, f"{AZURE}\n{GOOD},1,2\n{GOOD},".encode() + b"\xff\xfe,2\n")
    assert isinstance(first, TraceRow)
    assert isinstance(bad, BadRow)


def test_a_stray_quotation_mark_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, f'{AZURE}\n{GOOD},"1,2\n{GOOD},3,4\n')
    assert [row.line for row in rows] == [2, 3]
    assert all(isinstance(row, TraceRow) for row in rows)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"a,b,c\n1,2,3\n", b"TIMESTAMP,ContextTokens\n", b"\x00\x01\x02", b"PK\x03\x04\xff\xfe" * 100,
     "TIMESTAMP,ContextTokens,GeneratedTokens\n".encode("utf-16")],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused_naming_what_is_expected(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TraceError, match=r"trace.csv: is not a known trace; its first line must have the columns"):
        rows_of(tmp_path, content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, Path("/dev/null")):
        with pytest.raises(TraceError, match=rf"^{path}: (cannot be read: No such|is not a file)"):
            Trace(path)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert rows_of(tmp_path, AZURE) == []


def test_a_trace_can_be_read_twice_and_says_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"{AZURE}\n{GOOD},1,2\n{GOOD},3,4\n")
    trace = Trace(file)
    assert list(trace) == list(trace)
    assert trace.position_bytes == trace.size_bytes == file.stat().st_size
