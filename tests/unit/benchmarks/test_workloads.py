"""The workloads do what they say: the same fills as plain numpy gives, and every order accepted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.benchmarks.bars import BLOCK, blocks, columns
from tests.benchmarks.workloads import WORKLOADS, main, plan_for, run

CASH = 100_000.0
QUANTITY = 10.0


def equity_of(fills, closes):
    """Cash and what is held at the last close, from (bar, signed quantity, price)."""
    cash = CASH - sum(signed * price for _, signed, price in fills)
    return cash + sum(signed for _, signed, _ in fills) * closes[-1]


def fills_of_turns(bars):
    """Bought and sold in turn on every bar, each at the next open."""
    return [(n + 1, QUANTITY if n % 2 == 0 else -QUANTITY, bars.open[n + 1]) for n in range(len(bars.ts) - 1)]


def fills_of_crossovers(bars, fast=10, slow=30):
    """Bought when the fast average crosses above the slow one, sold when below, each at the next open."""
    sums = np.concatenate(([0], np.cumsum(np.round(bars.close * 100).astype(int))))
    ends = np.arange(slow, len(sums))
    difference = (sums[ends] - sums[ends - fast]) * slow - (sums[ends] - sums[ends - slow]) * fast
    fills, side, held = [], 0, 0.0
    for n, sign in zip(ends - 1, np.sign(difference), strict=True):
        if sign and side == -sign and n + 1 < len(bars.ts) and (sign > 0) != (held > 0):
            fills.append((n + 1, sign * QUANTITY, bars.open[n + 1]))
            held += sign * QUANTITY
        side = sign or side
    return fills


def outcome_of(workload, count, folder, capture="none"):
    return run(plan_for(workload, count, folder, capture))


@pytest.mark.parametrize(("workload", "reference"), [("W1", fills_of_crossovers), ("W2", fills_of_turns)])
def test_fills_are_those_of_plain_numpy(workload, reference, tmp_path):
    bars = columns(3_000)
    fills = reference(bars)
    outcome = outcome_of(workload, 3_000, tmp_path)
    trips = list(zip(fills[0::2], fills[1::2], strict=False))
    found = [(trade.entry_price, trade.exit_price) for trade in outcome.result.trades]
    assert found == [(entry[2], leaving[2]) for entry, leaving in trips]
    assert outcome.result.counts["Fill"] == outcome.orders["filled"] == len(fills) > 100
    assert outcome.result.statistics["final_equity"] == pytest.approx(equity_of(fills, bars.close), abs=1e-6)


def test_crossovers_trade_about_as_often_as_those_that_peers_were_measured_with(tmp_path):
    bars = columns(100_000)
    assert 3_500 < len(fills_of_crossovers(bars)) < 4_200


def test_a_ladder_keeps_fifty_orders_and_replaces_the_oldest_every_ten_bars(tmp_path):
    orders = outcome_of("W3", 2_001, tmp_path).orders
    assert orders["active"] == 50
    assert orders["received"] == orders["routed"] == 50 + 200
    assert orders["cancelled"] == 200
    assert orders["filled"] == 0


def test_an_empty_strategy_has_every_bar_and_no_order(tmp_path):
    counts = outcome_of("W4", 5_000, tmp_path).result.counts
    assert counts["Bar"] == 5_000
    assert "Order" not in counts


@pytest.mark.parametrize("workload", WORKLOADS)
def test_capture_changes_nothing_but_what_is_kept(workload, tmp_path):
    plain, captured = (outcome_of(workload, 300, tmp_path, capture) for capture in ("none", "full"))
    assert captured.result.digest
    assert captured.result.counts == plain.result.counts
    assert captured.result.statistics == plain.result.statistics


def test_bars_are_the_same_however_many_are_asked_for():
    long, short = columns(2 * BLOCK + 5), columns(BLOCK + 3)
    assert [len(block.ts) for block in blocks(2 * BLOCK + 5)] == [BLOCK, BLOCK, 5]
    for of_long, of_short in zip(long, short, strict=True):
        assert np.array_equal(of_long[: BLOCK + 3], of_short)
    assert np.all(long.low <= np.minimum(long.open, long.close))
    assert np.all(long.high >= np.maximum(long.open, long.close))
    assert np.array_equal(long.open[1:], long.close[:-1])


def test_the_command_prints_one_json_object_a_workload(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["workloads", "W2", "--bars", "200", "--runs", "1"])
    main()
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result.pop("value") == result.pop("low") == result.pop("high") > 0
    assert result == {"name": "W2, 200 bars, capture none", "unit": "us/bar", "runs": 1}
