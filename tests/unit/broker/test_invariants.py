"""What holds for every fill of the simulated broker, whatever the traffic."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bus.runtime.settings import RunContext, RunSettings
from components.broker import SimulatedBroker
from components.broker.book import Book
from components.broker.rules import RULES
from schemas import AmbiguityReport, Bar, Fill, Liquidity, ReportRequested, SubmitOrder
from schemas.codec import encode
from tests.conformance.broker_traffic import traffic
from tests.support.bench import Bench

DEAR = {"slippage": {"model": "fixed", "price_impact": 0.05}}
FILL_PRICES = ("next_open", "latest", "conservative", "vwap", "close")


def run(seed: int, **parameters) -> Bench:
    bench = Bench(SimulatedBroker("broker", parameters), context=RunContext(run=RunSettings(seed=seed)))
    for message in traffic(seed, days=60):
        bench.publish(message)
    return bench


@pytest.mark.parametrize("fill_price", FILL_PRICES)
def test_no_fill_is_worse_than_its_limit(fill_price, seed):
    bench = run(seed, fill_price=fill_price, **DEAR)
    limits = {m.order.order_id: m.order.limit_price for m in bench.of(SubmitOrder)}
    limited = [fill for fill in bench.of(Fill) if limits[fill.order_id] is not None]
    assert limited
    assert all(fill.direction.sign * (fill.price - limits[fill.order_id]) <= 0 for fill in limited)


@pytest.mark.parametrize("fill_price", FILL_PRICES)
def test_the_fills_of_a_bar_share_its_budget(fill_price, seed):
    bench = run(seed, fill_price=fill_price)
    volumes = {(bar.symbol, bar.ts): bar.volume for bar in bench.of(Bar)}
    left: dict[tuple[str, int], float] = {}
    for fill in bench.of(Fill):
        bar = (fill.symbol, fill.bar_ts)
        assert fill.budget_before == left.get(bar, volumes[bar] // 10)
        assert fill.budget_after == fill.budget_before - fill.quantity
        assert fill.budget_after >= 0
        left[bar] = fill.budget_after


@pytest.mark.parametrize("fill_price", FILL_PRICES)
def test_without_slippage_prices_are_inside_the_bar(fill_price, seed):
    bench = run(seed, fill_price=fill_price)
    bars = {(bar.symbol, bar.ts): bar for bar in bench.of(Bar)}
    for fill in bench.of(Fill):
        bar = bars[fill.symbol, fill.bar_ts]
        assert bar.low <= fill.price <= bar.high or fill.rule == "limit_conservative"
        assert fill.price == fill.reference_price
        assert fill.rule in RULES


def test_only_takers_pay_slippage(seed):
    for fill in run(seed, **DEAR).of(Fill):
        assert fill.slippage >= 0
        assert fill.slippage == 0 or fill.liquidity is Liquidity.TAKER


def test_no_order_fills_at_a_bar_that_closed_when_it_was_sent(seed):
    bench = run(seed)
    sent = {m.order.order_id: m.order.ts for m in bench.of(SubmitOrder)}
    assert all(fill.bar_ts > sent[fill.order_id] for fill in bench.of(Fill))


def test_once_an_order_of_a_group_is_filled_no_other_fills(seed):
    bench = run(seed, max_volume_pct=None)
    groups = {m.order.order_id: m.order.group_id for m in bench.of(SubmitOrder)}
    filled = [groups[fill.order_id] for fill in bench.of(Fill) if groups[fill.order_id]]
    assert filled
    assert len(set(filled)) == len(filled)


def test_reduce_only_orders_only_reduce(seed):
    bench = run(seed)
    reduce_only = {m.order.order_id for m in bench.of(SubmitOrder) if m.order.reduce_only}
    positions: dict[str, float] = defaultdict(float)
    for fill in bench.of(Fill):
        before = positions[fill.symbol]
        positions[fill.symbol] += fill.direction.sign * fill.quantity
        if fill.order_id in reduce_only:
            assert abs(positions[fill.symbol]) < abs(before)
            assert positions[fill.symbol] * before >= 0


def test_the_index_finds_every_order_that_could_do_something(seed, monkeypatch):
    indexed = [encode(m) for m in run(seed).said]
    reached = Book.reached
    monkeypatch.setattr(Book, "reached", lambda book, _low, _high: reached(book, 0.0, 1e9))
    monkeypatch.setattr(Book, "is_reached", lambda *_: True)
    assert [encode(m) for m in run(seed).said] == indexed


def test_reporting_ambiguity_changes_no_fill(seed):
    bench = run(seed, intrabar={"report_ambiguity": True}, **DEAR)
    assert [encode(m) for m in bench.said] == [encode(m) for m in run(seed, **DEAR).said]
    bench.publish(ReportRequested(ts=bench.clock.now_ns))
    [report] = bench.of(AmbiguityReport)
    assert 0 < report.bars <= report.orders
    assert report.worse <= 0 <= report.better


def test_the_two_paths_bound_each_other(seed):
    reports = []
    for path in ("OHLC", "OLHC"):
        bench = run(seed, intrabar={"path": path, "report_ambiguity": True}, fill_price="close")
        bench.publish(ReportRequested(ts=bench.clock.now_ns))
        reports += bench.of(AmbiguityReport)
    assert all(report.better - report.worse > 0 for report in reports)
