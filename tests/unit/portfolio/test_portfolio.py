"""The portfolio on a bus: position updates, round trips, the equity curve, the report."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bus.runtime.block import Block
from bus.runtime.settings import Instrument, RunContext, RunSettings
from components.portfolio import Portfolio
from schemas import (
    AccountReport,
    Bar,
    Checkpoint,
    ClosedTrade,
    Direction,
    EquityCurve,
    Fill,
    PositionUpdate,
    Quote,
    ReportRequested,
    Trade,
)
from schemas.codec import to_builtins
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, a_fill

SELL = Direction.SELL


def bench(run=None, **parameters):
    return Bench(Portfolio("portfolio", parameters), context=RunContext(run=run or RunSettings(initial_cash=10_000.0)))


def reported(b):
    said = b.publish(ReportRequested(T0))
    [report] = b.of(AccountReport, said)
    return report, [(ts, equity, cash) for ts, equity, cash, *_ in points_of(b.of(EquityCurve, said))]


def points_of(blocks):
    """Tuples of ts, equity, cash, exposure, net exposure."""
    return [point for block in blocks for point in zip(*to_builtins(block).values(), strict=True)]


def day(n):
    return T0 + n * DAY_NS


def test_a_bar_is_answered_by_nothing_and_the_portfolio_says_so():
    b = bench()
    assert b.publish(a_bar()) == [a_bar()]
    assert {Bar, Quote, Trade} <= b.components[0].quiet


def test_every_fill_is_followed_by_the_position():
    b = bench()
    b.publish(a_bar())
    said = b.publish(a_fill(quantity=10.0, price=100.0, commission=1.0))
    assert b.of(PositionUpdate, said) == [
        PositionUpdate(
            ts=T0, symbol="AAPL", quantity=10.0, average_price=100.0, realised_pnl=0.0, cash=8_999.0, fees=1.0
        )
    ]


def test_a_fill_that_closes_is_followed_by_the_round_trip():
    b = bench()
    b.publish(a_fill("b-1", quantity=10.0, price=100.0, commission=1.0))
    said = b.publish(a_fill("b-2", direction=SELL, quantity=10.0, price=103.0, commission=1.0, ts=day(2)))
    [trade] = b.of(ClosedTrade, said)
    assert (trade.trade_id, trade.realised_pnl, trade.fees) == ("portfolio-1", 28.0, 2.0)
    assert (trade.entry_fill_id, trade.exit_fill_id, trade.exit_ts) == ("b-1", "b-2", day(2))
    assert b.of(PositionUpdate, said)[0].realised_pnl == 28.0


def test_the_curve_has_one_point_a_timestamp_with_everything_that_happened_in_it():
    b = bench()
    b.publish(a_bar(0, c=100), a_bar(0, symbol="MSFT", c=50), a_bar(1, c=100))
    b.publish(a_fill("1", quantity=10.0, price=99.0, ts=day(1)))
    b.publish(a_bar(2, c=101), a_bar(2, symbol="MSFT", c=51), a_bar(3, c=98))
    _, points = reported(b)
    assert points == [
        (day(0), 10_000.0, 10_000.0),
        (day(1), 10_010.0, 9_010.0),
        (day(2), 10_020.0, 9_010.0),
        (day(3), 9_990.0, 9_010.0),
    ]


def test_the_curve_goes_on_flat_after_a_position_is_closed():
    b = bench()
    b.publish(a_bar(0), a_fill("1", quantity=10.0, price=100.0), a_bar(1, c=110))
    b.publish(a_fill("2", direction=SELL, quantity=10.0, price=105.0, ts=day(1)), a_bar(2), a_bar(3))
    _, points = reported(b)
    assert [equity for _, equity, _ in points] == [10_000.0, 10_050.0, 10_050.0, 10_050.0]


def test_exposure_is_gross_and_net():
    b = bench()
    b.publish(a_bar(0, c=100), a_bar(0, symbol="MSFT", c=50))
    b.publish(a_fill("1", quantity=10.0), a_fill("2", symbol="MSFT", direction=SELL, quantity=30.0, price=50.0))
    [(*_, gross, net)] = points_of(b.of(EquityCurve, b.publish(ReportRequested(T0))))
    assert (gross, net) == (2_500.0, -500.0)


def test_a_quote_values_what_is_held_only_with_both_sides():
    b = bench()
    b.publish(a_bar(0), a_fill(quantity=10.0, price=100.0), Quote(day(1), "AAPL", 101.0, 5.0, 103.0, 5.0))
    b.publish(Quote(day(2), "AAPL", 0.0, 0.0, 300.0, 1.0), Quote(day(3), "AAPL", 90.0, 1.0, 0.0, 0.0))
    b.publish(Quote(day(4), "AAPL", 0.0, 0.0, 0.0, 0.0), Quote(day(5), "AAPL", -38.0, 1.0, -36.0, 1.0))
    _, points = reported(b)
    assert [equity for _, equity, _ in points] == [10_000.0, 10_020.0, 10_020.0, 10_020.0, 10_020.0, 8_630.0]


def test_a_long_curve_comes_in_blocks():
    b = bench()
    b.publish(*(a_bar(ts=T0 + n) for n in range(10_000)))
    blocks = b.of(EquityCurve, b.publish(ReportRequested(T0)))
    assert [len(points_of([block])) for block in blocks] == [4096, 4096, 1808]
    assert [ts for ts, *_ in points_of(blocks)] == [T0 + n for n in range(10_000)]


def test_at_a_checkpoint_the_full_blocks_are_published_and_forgotten():
    b = bench()
    bars = [a_bar(ts=T0 + n) for n in range(10_000)]
    b.publish(*bars[:8_000])
    first = b.of(EquityCurve, b.publish(Checkpoint(8_000)))
    assert [len(points_of([block])) for block in first] == [4096]
    b.publish(*bars[8_000:])
    rest = b.of(EquityCurve, b.publish(ReportRequested(T0)))
    assert [ts for ts, *_ in points_of([*first, *rest])] == [T0 + n for n in range(10_000)]


@given(st.data())
def test_many_messages_at_once_are_as_one_after_another(data):
    steps = data.draw(
        st.lists(st.sampled_from(["bar", "same", "msft", "quote", "buy", "sell", "buy msft"]), max_size=20)
    )
    once, singly = bench(), bench()
    block, ts = [], T0

    def hand_over():
        for message_type, group in groupby(block, type):
            messages = list(group)
            if message_type is Fill:
                once.publish(*messages)
            else:
                before = [a_bar()] * data.draw(st.integers(0, 2)) if message_type is Bar else []
                whole = Block([*before, *messages])
                once.components[0].on_block(whole, len(before), len(whole))
        singly.publish(*block)
        block.clear()

    for n, step in enumerate(steps):
        ts += 0 if step in ("same", "msft") else DAY_NS
        price = 100.0 + n
        symbol = "MSFT" if "msft" in step else "AAPL"
        if "buy" in step or step == "sell":
            hand_over()
            direction = SELL if step == "sell" else Direction.BUY
            block.append(a_fill(f"f{n}", symbol=symbol, direction=direction, quantity=3.0, price=price, ts=ts))
            hand_over()
        else:
            quote = Quote(ts, symbol, price, 1.0, price + 1, 1.0)
            block.append(quote if step == "quote" else a_bar(ts=ts, symbol=symbol, c=price))
    hand_over()
    assert once.publish(ReportRequested(T0)) == singly.publish(ReportRequested(T0))
    assert once.components[0].marks == singly.components[0].marks


def test_bars_at_once_of_one_of_two_symbols_that_are_held_value_both():
    b = bench()
    b.publish(a_fill("1", quantity=10.0), a_fill("2", symbol="MSFT", quantity=1.0, price=50.0))
    b.components[0].on_block(Block(a_bar(n, c=100 + n) for n in range(3)), 0, 3)
    assert [equity for _, equity, _ in reported(b)[1]] == [10_000.0, 10_010.0, 10_020.0]


def test_the_report_adds_up():
    b = bench()
    b.publish(a_bar(0), a_fill("1", quantity=20.0, price=100.0, commission=2.0, slippage=0.05))
    b.publish(a_fill("2", direction=SELL, quantity=5.0, price=104.0, commission=1.0, ts=day(1)), a_bar(1, c=110))
    report, points = reported(b)
    assert report == AccountReport(
        ts=T0,
        initial_cash=10_000.0,
        final_cash=10_000.0 - 2_000.0 - 2.0 + 520.0 - 1.0,
        final_equity=10_167.0,
        realised_pnl=20.0 - 0.5 - 1.0,
        unrealised_pnl=150.0 - 1.5,
        fees=3.0,
        slippage_cost=1.0,
        traded_value=2_520.0,
        fills=2,
        open_positions={"AAPL": 15.0},
    )
    assert report.final_equity == report.initial_cash + report.realised_pnl + report.unrealised_pnl == points[-1][1]


def test_a_report_that_is_asked_for_again_has_the_last_time_as_it_is_by_then():
    b = bench()
    b.publish(a_bar(0, c=100), a_bar(0, symbol="MSFT", c=50))
    b.publish(a_fill("1", quantity=10.0), a_fill("2", symbol="MSFT", direction=SELL, quantity=30.0, price=50.0))
    b.publish(ReportRequested(T0), a_fill("3", symbol="MSFT", quantity=30.0, price=50.0))
    [(ts, *_, gross, net)] = points_of(b.of(EquityCurve, b.publish(ReportRequested(T0))))
    assert (ts, gross, net) == (T0, 1_000.0, 1_000.0)


def test_without_any_data_there_is_a_report_and_no_curve():
    report, points = reported(bench())
    assert (report.final_equity, report.fills, points) == (10_000.0, 0, [])


def test_before_any_market_data_a_position_is_valued_at_its_fill():
    b = bench()
    b.publish(a_fill(quantity=10.0, price=100.0))
    assert reported(b)[0].final_equity == 10_000.0


def test_quotes_value_at_their_middle_and_trades_at_their_price():
    b = bench()
    b.publish(a_fill(quantity=10.0, price=100.0), Quote(day(1), "AAPL", 101.0, 5.0, 103.0, 5.0))
    b.publish(Trade(day(2), "AAPL", 105.0, 1.0), Quote(day(3), "AAPL", 0.0, 0.0, 300.0, 1.0))
    assert [equity for _, equity, _ in reported(b)[1]] == [10_000.0, 10_020.0, 10_050.0, 10_050.0]


def test_the_curve_may_be_thinned_out_to_the_last_point_of_each_interval():
    b = bench(curve_interval_s=60)
    minute = 60 * 10**9
    b.publish(a_fill(quantity=1.0, price=100.0, ts=T0))
    b.publish(*(Trade(T0 + n * minute // 4, "AAPL", 100.0 + n, 1.0) for n in range(9)))
    assert [(ts - T0, equity) for ts, equity, _ in reported(b)[1]] == [
        (3 * minute // 4, 10_003.0),
        (7 * minute // 4, 10_007.0),
        (8 * minute // 4, 10_008.0),
    ]


def euros(**parameters):
    instruments = (Instrument(symbol="SAP", currency="EUR"),)
    b = bench(RunSettings(initial_cash=10_000.0, instruments=instruments), **parameters)
    b.publish(a_bar(0, symbol="SAP"))
    b.publish(a_fill("1", symbol="SAP", quantity=10.0, price=100.0), a_bar(1, symbol="SAP", c=110))
    b.publish(a_fill("2", symbol="SAP", direction=SELL, quantity=10.0, price=120.0, ts=day(1)))
    return b


def test_a_currency_without_a_rate_is_reported_beside_the_account():
    b = euros()
    assert [(t.realised_pnl, t.currency) for t in b.of(ClosedTrade)] == [(200.0, "EUR")]
    assert {update.currency for update in b.of(PositionUpdate)} == {"EUR"}
    report, points = reported(b)
    assert (report.final_equity, report.other_equity, report.fills) == (10_000.0, (("EUR", 200.0),), 2)
    assert [equity for _, equity, _ in points] == [10_000.0, 10_000.0]


def test_a_currency_with_a_rate_is_part_of_the_account():
    b = euros(rates={"EUR": 1.5})
    assert [(t.realised_pnl, t.currency) for t in b.of(ClosedTrade)] == [(300.0, "")]
    report, _ = reported(b)
    assert (report.final_equity, report.other_equity) == (10_300.0, ())


def test_a_repeated_fill_changes_nothing():
    b = bench()
    b.publish(a_fill("1", quantity=10.0), a_fill("1", quantity=10.0))
    assert [update.quantity for update in b.of(PositionUpdate)] == [10.0, 10.0]


def test_reset_leaves_nothing_behind():
    b = bench()
    story = [a_bar(0), a_fill("1"), a_bar(1), a_fill("2", direction=SELL, ts=day(1)), ReportRequested(T0)]
    first = b.publish(*story)
    b.components[0].reset()
    assert b.publish(*story) == first


def test_what_is_published_survives_the_wire():
    from schemas.codec import canonical

    b = bench()
    b.publish(a_bar(0), a_fill("1"), a_fill("2", direction=SELL), ReportRequested(T0))
    assert [canonical(message) for message in b.said] == b.said


@pytest.mark.parametrize("parameters", [{"rates": {"EUR": 0}}, {"curve_interval_s": -1}, {"rate": {}}])
def test_parameters_that_make_no_sense_are_refused(parameters):
    with pytest.raises(ValidationError):
        Portfolio("portfolio", parameters)
