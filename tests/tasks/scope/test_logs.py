"""Event-log files with every fault a real one had: each is named, none is fatal."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from tasks.scope.logs import column, instants, join_logs, read_log

HEADER = (
    '"EVENT_TYPE","TIMESTAMP","REQUEST_ID","USER_ID","JOB_ID","JOB_STATUS","OPERATION_TYPE","ENTITY_TYPE",'
    '"RECORDS_PROCESSED","TIMESTAMP_DERIVED"'
)
ROW = (
    '"BulkApi2","20261124093000.250","r1","005000000000001","750x","JobComplete","query","Case",'
    '"42","2026-11-24T09:30:00.250Z"'
)


def written(folder: Path, data: bytes | str) -> Path:
    path = folder / "log.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_whole_file_has_no_problems(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, f"{HEADER}\n{ROW}\n"))
    assert log.problems == ()
    assert log.events.to_dict("records")[0]["RECORDS_PROCESSED"] == "42"


def test_columns_are_found_by_name_in_any_order_and_case(tmp_path: Path) -> None:
    names = HEADER.replace('"', "").lower().split(",")
    values = dict(zip(names, ROW.replace('"', "").split(","), strict=True))
    turned = list(reversed(names))
    log = read_log(written(tmp_path, ",".join(turned) + "\n" + ",".join(values[n] for n in turned) + "\n"))
    assert log.problems == ()
    assert log.events["JOB_ID"].tolist() == ["750x"]
    assert log.events["ENTITY_TYPE"].tolist() == ["Case"]


def test_missing_columns_are_named_and_read_as_empty(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "EVENT_TYPE,TIMESTAMP_DERIVED\nBulkApi2,2026-11-24T09:30:00.000Z\n"))
    assert "JOB_ID" in log.problems[0]
    assert "REQUEST_ID" in log.problems[0]
    assert column(log.events, "JOB_ID").tolist() == [""]


@pytest.mark.parametrize(
    "encoded",
    [
        b"\xef\xbb\xbf" + f"{HEADER}\n{ROW}\n".encode(),
        f"{HEADER}\n{ROW}\n".encode("utf-16"),
        gzip.compress(f"{HEADER}\n{ROW}\n".encode()),
        gzip.compress(HEADER.encode() + b"\n") + gzip.compress(ROW.encode() + b"\n"),
        f"{HEADER}\r\n{ROW}\r\n".encode(),
    ],
    ids=["byte-order mark", "utf-16", "gzip", "two gzip members", "crlf"],
)
def test_other_encodings_read_the_same(tmp_path: Path, encoded: bytes) -> None:
    log = read_log(written(tmp_path, encoded))
    assert log.events["EVENT_TYPE"].tolist() == ["BulkApi2"]
    assert log.problems == ()


@pytest.mark.parametrize("cut", [len(ROW) - 40, 30, len(ROW) - 1])
def test_a_last_line_cut_off_is_named_and_the_rest_is_read(tmp_path: Path, cut: int) -> None:
    log = read_log(written(tmp_path, f"{HEADER}\n{ROW}\n{ROW[:cut]}"))
    whole = len(ROW) - 1 == cut  # every value is there; only the closing quote is missing
    assert len(log.events) == 1 + whole
    assert whole or "cut off" in log.problems[0]


def test_gzip_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    body = "".join(f"{ROW.replace('r1', f'r{n:07d}{n * 7919 % 1000003}')}\n" for n in range(2000))
    data = gzip.compress(f"{HEADER}\n{body}".encode())
    log = read_log(written(tmp_path, data[: len(data) // 2]))
    assert 0 < len(log.events) < 2000
    assert any("gzip data is cut off" in problem for problem in log.problems)


def test_lines_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, f"{HEADER}\n{ROW}\nbroken,line\n{ROW}\n"))
    assert len(log.events) == 2
    assert "1 lines do not fit" in log.problems[0]


def test_line_breaks_and_quotes_inside_a_value_do_not_break_rows(tmp_path: Path) -> None:
    text = "SELECT Id\nFROM Contact WHERE Name = 'O\"\"Neill, Ann'"
    header = "EVENT_TYPE,TIMESTAMP,QUERY_IDENTIFIER,QUERY_TYPE,SESSION_KEY,LOGIN_KEY"
    body = f'{header}\nUniqueQuery,20261124093000.000,"{text}",soql,s,l\n'
    log = read_log(written(tmp_path, body))
    assert log.events["QUERY_IDENTIFIER"].tolist() == [text.replace('""', '"')]


def test_a_very_long_query_text_is_read(tmp_path: Path) -> None:
    text = "x" * 150_000
    log = read_log(written(tmp_path, f'EVENT_TYPE,QUERY_IDENTIFIER\nUniqueQuery,"{text}"\n'))
    assert len(log.events["QUERY_IDENTIFIER"].iloc[0]) == 150_000


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, b""))
    assert log.events.empty
    assert "empty" in log.problems[0]


def test_both_time_columns_are_understood() -> None:
    rows = pd.DataFrame(
        {
            "TIMESTAMP_DERIVED": ["2026-11-24T09:30:00.250Z", "", ""],
            "TIMESTAMP": ["", "20261124093000.250", "never"],
        }
    )
    at = instants(rows)
    assert at[0] == at[1] == pd.Timestamp("2026-11-24T09:30:00.250Z")
    assert pd.isna(at[2])


def test_overlapping_files_give_each_row_once_though_columns_differ() -> None:
    hourly = pd.DataFrame({"REQUEST_ID": ["1", "2"], "URI": ["/a", "/b"]})
    daily = pd.DataFrame({"URI": ["/b", "/c"], "REQUEST_ID": ["2", "3"]})
    assert sorted(join_logs([hourly, daily])["REQUEST_ID"]) == ["1", "2", "3"]
    assert join_logs([]).empty
