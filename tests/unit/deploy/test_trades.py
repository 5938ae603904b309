"""The round trips of a run: a sequence that keeps no objects."""

from __future__ import annotations

import copy
import errno
import gc
import pickle
import tempfile
from pathlib import Path

import pytest

from bus.errors import AdmfError
from deploy import trades as module
from deploy.trades import TOGETHER, Trades, trades_of
from schemas import ClosedTrade, Direction
from tests.support.builders import T0

MANY = 5 * TOGETHER + 7


def a_trade(n: int = 0, symbol: str = "AAPL") -> ClosedTrade:
    """The n-th round trip, long and short in turn."""
    direction = Direction.SELL if n % 2 else Direction.BUY
    return ClosedTrade(f"p-{n}", symbol, direction, 10.0, T0 + n, 100.1, T0 + 2 * n, 101.0 + n / 3, -n / 7, 0.0)


def many(count: int = MANY) -> list[ClosedTrade]:
    return [a_trade(n) for n in range(count)]


@pytest.fixture(params=[2, 128], ids=["in a file", "in memory"])
def _where(request, monkeypatch):
    monkeypatch.setattr(module, "_IN_MEMORY", request.param)


@pytest.mark.usefixtures("_where")
@pytest.mark.parametrize("count", [0, 1, TOGETHER, TOGETHER + 1, MANY])
def test_they_are_the_trades_that_were_added(tmp_path, count):
    trades, expected = trades_of(many(count), tmp_path), many(count)
    assert len(trades) == count
    assert list(trades) == expected
    assert trades == expected
    assert [trades[n] for n in range(count)] == expected
    assert all(type(trade) is ClosedTrade and type(trade.direction) is Direction for trade in trades)


@pytest.mark.usefixtures("_where")
def test_they_are_indexed_as_a_list(tmp_path):
    trades, expected = trades_of(many(), tmp_path), many()
    assert (trades[-1], trades[-MANY]) == (expected[-1], expected[0])
    for part in (slice(3), slice(-3, None), slice(1000, 1050, 7), slice(None, None, -1), slice(9, 2)):
        assert trades[part] == expected[part]
    assert (expected[-2] in trades, trades.index(expected[2 * TOGETHER])) == (True, 2 * TOGETHER)
    for beyond in (MANY, -MANY - 1):
        with pytest.raises(IndexError):
            trades[beyond]


def test_a_trade_that_was_asked_for_is_the_same_after_others_have_come():
    trades = trades_of(many(3))
    assert trades[2] == a_trade(2)
    for n in range(3, 2 * TOGETHER):
        trades.add(a_trade(n))
    assert (trades[2], trades[TOGETHER + 1]) == (a_trade(2), a_trade(TOGETHER + 1))


@pytest.mark.parametrize("other", [many(3), [*many(3), a_trade(9)], tuple(many(4))[1:], "abcd", 4])
def test_they_differ_from_others(other):
    assert trades_of(many(4)) != other


def test_their_rows_are_the_fields_as_plain_values(tmp_path):
    trade = a_trade(1, symbol="SÄP")
    assert list(trades_of([trade]).rows()) == [
        [["p-1", "SÄP", "SELL", 10.0, T0 + 1, 100.1, T0 + 2, 101.0 + 1 / 3, -1 / 7, 0.0, 0.0, "", "", ""]]
    ]
    parts = list(trades_of(many(), tmp_path).rows())
    assert [row[0] for rows in parts for row in rows] == [trade.trade_id for trade in many()]
    assert max(map(len, parts)) == TOGETHER


@pytest.mark.usefixtures("_where")
def test_they_can_be_copied_and_sent(tmp_path):
    trades = trades_of(many(), tmp_path)
    assert pickle.loads(pickle.dumps(trades)) == copy.deepcopy(trades) == trades
    assert repr(trades) == "<5,127 trades>"


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files cannot be counted here")
def test_the_file_has_no_name_and_goes_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_IN_MEMORY", 2)
    before = open_files()
    trades = trades_of(many(), tmp_path)
    assert open_files() == before + 1
    assert not list(tmp_path.iterdir())
    del trades
    gc.collect()
    assert open_files() == before


def test_few_trades_need_no_file(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert trades_of(many()) == many()


def test_without_room_for_the_file_it_is_said_and_no_trade_is_lost(tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_IN_MEMORY", 2)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    trades = Trades(tmp_path)
    with pytest.raises(AdmfError, match=f"^{tmp_path}: cannot write .*: No space left on device; .*make room"):
        for trade in many():
            trades.add(trade)
    assert trades == many(2 * TOGETHER)
