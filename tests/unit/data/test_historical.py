"""The data handler: parameters, blocks, where files are looked up."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bus.block_records import table_of
from bus.errors import DataError
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.settings import RunContext
from components.data import HistoricalDataHandler
from schemas import Bar, Message, StreamEnding
from schemas.codec import canonical, encode

Write = Callable[..., Path]
Stream = Callable[..., list[Message]]
DAY_NS = 86_400 * 10**9
JAN_2 = 1_577_923_200_000_000_000


def rows(symbol: str, *days: int) -> list[str]:
    return [f"2020-01-{day:02},{symbol},10,12,9,11,{day}" for day in days]


def test_it_is_a_data_handler_that_emits_bars() -> None:
    assert HistoricalDataHandler.component_type == "data_handler"
    assert HistoricalDataHandler.emits == (Bar, StreamEnding)


def test_blocks_have_at_most_the_given_size_and_together_hold_everything(csv_of: Write, handler: Any) -> None:
    path = csv_of(*rows("A", *range(1, 11)))
    whole = list(handler(path).blocks())
    assert [len(block) for block in whole] == [10]
    blocks = list(handler(path, block_size=4).blocks())
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert list(itertools.chain(*blocks)) == whole[0]


@pytest.mark.parametrize("symbols", [["A"], ["Ä"], ["A", "B"], ["Ä", "B"], ["A", "BB"]])
@pytest.mark.parametrize("run", [{}, {"close_at_end": "next_open"}])
def test_blocks_have_arrays_of_which_records_can_be_made_unless_symbols_may_differ_in_length(
    csv_of: Write, handler: Any, symbols: list[str], run: dict[str, Any]
) -> None:
    path = csv_of(*(row for symbol in symbols for row in rows(symbol, *range(2, 9))))
    several_lengths = symbols in (["Ä", "B"], ["A", "BB"])
    for block in handler(path, run, block_size=5, timestamp_is="open", interval="1d").blocks():
        if block and isinstance(block, Block):
            table = table_of(block, 0, len(block), 1, 20)
            assert (table is None) == several_lengths
            assert table is None or [row["payload"].tobytes() for row in table] == list(map(encode, block))


def test_a_new_iteration_starts_at_the_beginning(csv_of: Write, handler: Any) -> None:
    source = handler(csv_of(*rows("A", 1, 2, 3)), block_size=2)
    assert next(iter(source.blocks())) == next(iter(source.blocks()))
    source.reset()
    assert len(list(source.blocks())) == 2


def test_bars_are_canonical(csv_of: Write, stream: Stream) -> None:
    for bar in stream(csv_of(*rows("A", 1, 2)), {"close_at_end": "next_open"}):
        again = canonical(bar)
        assert again == bar
        assert [type(v) for v in vars_of(again)] == [type(v) for v in vars_of(bar)]


def vars_of(message: Message) -> list[object]:
    return [getattr(message, name) for name in message.__struct_fields__]


def test_a_timestamp_says_when_the_bar_closes_unless_it_says_when_it_opens(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("A", 2, 3))
    assert [bar.ts for bar in stream(path)] == [JAN_2, JAN_2 + DAY_NS]
    opened = stream(path, timestamp_is="open", interval="1d")
    assert [bar.ts for bar in opened] == [JAN_2 + DAY_NS, JAN_2 + 2 * DAY_NS]


def test_dates_are_compared_with_the_timestamps_in_the_file(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("A", 2, 3, 6))
    dates = {"start_date": "2020-01-03", "end_date": "2020-01-03"}
    assert [bar.ts for bar in stream(path, dates, timestamp_is="open", interval="1d")] == [JAN_2 + 2 * DAY_NS]


@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 5, 100])
def test_the_end_is_announced_before_the_last_timestamp_when_positions_close_at_the_next_open(
    csv_of: Write, stream: Stream, block_size: int
) -> None:
    path = csv_of(*rows("A", 2, 3, 6), *rows("B", 2, 6))
    messages = stream(path, {"close_at_end": "next_open"}, block_size=block_size)
    assert [type(message) for message in messages] == [Bar, Bar, Bar, StreamEnding, Bar, Bar]
    assert messages[3] == StreamEnding("data", messages[4].ts)
    assert messages[4].ts == messages[5].ts == JAN_2 + 4 * DAY_NS


def test_the_announced_end_is_when_the_last_bar_closes(csv_of: Write, stream: Stream) -> None:
    run = {"close_at_end": "next_open"}
    messages = stream(csv_of(*rows("A", 2, 3)), run, timestamp_is="open", interval="1d")
    assert messages[1] == StreamEnding("data", JAN_2 + 2 * DAY_NS)


@pytest.mark.parametrize("rule", ["last_close", "none"])
def test_otherwise_the_end_is_not_announced(csv_of: Write, stream: Stream, rule: str) -> None:
    assert {type(message) for message in stream(csv_of(*rows("A", 2, 3)), {"close_at_end": rule})} == {Bar}


def test_integers_and_zones_are_read_as_declared(csv_of: Write, stream: Stream) -> None:
    assert [bar.ts for bar in stream(csv_of("1577923200,A,1,1,1,1,1"), timestamp_unit="ms")] == [1_577_923_200 * 10**6]
    (bar,) = stream(csv_of("2020-01-02,A,1,1,1,1,1"), timezone="Asia/Tokyo")
    assert bar.ts == JAN_2 - 9 * 3_600 * 10**9


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"timestamp_is": "open"}, "timestamp_is: open needs interval"),
        ({"timestamp_is": "open", "interval": "1x"}, "s, m, h, d or w"),
        ({"interval": "1d"}, "interval is for timestamp_is: open"),
        ({"timezone": "Mars/Olympus"}, "IANA names"),
        ({"columns": {"price": "x"}}, "columns.price"),
        ({"block_size": 0}, "greater than or equal to 1"),
        ({"file": "x.csv"}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        HistoricalDataHandler("data", parameters)


def test_without_a_path_the_error_says_what_is_missing_and_how_to_give_it(handler: Any) -> None:
    run = {"symbols": ["SPY", "AAPL"], "start_date": "2022-01-01", "end_date": "2022-12-31"}
    with pytest.raises(DataError) as caught:
        handler(None, run)
    assert str(caught.value) == (
        "no path is given: bars of SPY, AAPL from 2022-01-01 to 2022-12-31 are missing; give a CSV or Parquet file, or "
        "a folder with one for each symbol, by `--set components.data.path=FILE`, by `path:` under components.data in "
        "the topology file, or by the environment variable ADMF_DATA"
    )


def test_without_symbols_and_dates_the_error_says_so(handler: Any) -> None:
    with pytest.raises(DataError, match="bars of all symbols from the beginning to the end are missing"):
        handler(None)


def test_a_relative_path_is_looked_up_beside_the_topology_file_and_then_in_the_working_directory(
    csv_of: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symbols(base_dir: Path) -> list[str]:
        source = HistoricalDataHandler("data", {"path": "bars.csv"})
        source.initialize(RunContext(base_dir=base_dir), lambda message: None, Clock())
        return [bar.symbol for block in source.blocks() for bar in block]

    csv_of(*rows("BESIDE", 2), name="topology/bars.csv")
    csv_of(*rows("WORKING", 2), name="work/bars.csv")
    monkeypatch.chdir(tmp_path / "work")
    assert symbols(tmp_path / "topology") == ["BESIDE"]
    assert symbols(tmp_path) == ["WORKING"]


def test_a_path_that_is_nowhere_is_named_with_all_places(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HistoricalDataHandler("data", {"path": "no.csv"})
    with pytest.raises(DataError, match=f"there is no file or folder {tmp_path}/no.csv or no.csv$"):
        source.initialize(RunContext(base_dir=tmp_path), lambda message: None, Clock())


def test_faults_are_raised_before_the_first_block(csv_of: Write, handler: Any) -> None:
    path = csv_of(*rows("A", *range(2, 30)), "2020-01-30,A,10,9,12,11,1")
    with pytest.raises(DataError, match=r"bars\.csv, row 30: high 9\.0 is below low 12\.0"):
        handler(path, block_size=1)


def test_naming_the_class_does_not_import_numpy() -> None:
    code = "import sys, components.data; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3], timeout=60)
