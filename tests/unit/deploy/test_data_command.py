"""`admf data check`: what is in a file and what is wrong with it, before a run."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import command, text_of
from tests.support.launching import ROOT

HEAD = "date,symbol,open,high,low,close,volume\n"
GOOD = "2020-01-02,A,1,2,0.5,1.5,10\n2020-01-03,A,1,2,0.5,1.5,10\n"


@pytest.fixture
def file(tmp_path):
    def make(text: str):
        path = tmp_path / "bars.csv"
        path.write_text(text)
        return path

    return make


def test_the_shipped_data_are_sound_and_their_gaps_are_told():
    said = command("data", "check", ROOT / "configs" / "data" / "daily.csv").output
    assert "9,810 rows, 3 symbols, 0 errors" in said
    assert "AAPL            3,270 rows  2000-03-01T00:00:00Z to 2013-03-01T00:00:00Z  every 1 d  3 gaps" in said
    assert "gap of 7 d: 2001-09-10T00:00:00Z to 2001-09-17T00:00:00Z" in said


def test_errors_are_told_by_row_with_exit_code_2(file):
    path = file(HEAD + GOOD + "2020-01-03,A,1,2,0.5,1.5,10\n2020-01-04,A,1,x,0.5,1.5,10\n")
    said = command("data", "check", path, code=2).output
    assert "2 errors" in said
    assert "row 4: A at 2020-01-03 is there already in row 3" in said
    assert "row 5: high 'x' is not a number" in said


def test_json_is_one_object_with_the_same(file):
    document = json.loads(command("data", "check", file(HEAD + GOOD), "--json").output)
    assert (document["rows"], document["sound"], document["faults"]) == (2, True, [])
    assert document["symbols"][0]["symbol"] == "A"


def test_columns_of_other_names_can_be_named(file):
    path = file(HEAD.replace("close", "Last") + GOOD)
    assert "column close is missing" in command("data", "check", path, code=2).output
    assert "0 errors" in command("data", "check", path, "--column", "close=Last").output
    assert "write it as close=Last" in command("data", "check", path, "--column", "closing=Last", code=2).output


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    assert "no such file" in text_of(command("data", "check", tmp_path / "none.csv", code=2))
