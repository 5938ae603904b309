from __future__ import annotations

import pytest

from components.broker import SimulatedBroker
from schemas import AmbiguityReport, Direction, Fill, GroupType, OrderType, ReportRequested, SubmitOrder, SubmitReplace
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, an_order

EXIT = {"direction": Direction.SELL, "group_id": "exit", "group_type": GroupType.OCO}


def report(path: str, *last_bar: float, **parameters) -> AmbiguityReport:
    """What is reported of a target at 105 and a stop at 95 that meet a bar; 100 shares."""
    bench = Bench(SimulatedBroker("broker", {"intrabar": {"path": path, "report_ambiguity": True}, **parameters}))
    bench.publish(
        a_bar(0),
        SubmitOrder(an_order("target", order_type=OrderType.LIMIT, limit_price=105.0, **EXIT), "broker"),
        SubmitOrder(an_order("stop", order_type=OrderType.STOP, stop_price=95.0, **EXIT), "broker"),
        a_bar(1, *last_bar),
        ReportRequested(ts=T0),
    )
    [found] = bench.of(AmbiguityReport)
    return found


def test_a_bar_that_reaches_both_exits_is_ambiguous():
    assert report("OHLC", 100, 106, 94, 100) == AmbiguityReport(T0, "broker", 1, 2, 0.0, -1000.0)
    assert report("OLHC", 100, 106, 94, 100) == AmbiguityReport(T0, "broker", 1, 2, 1000.0, 0.0)


def test_a_bar_that_reaches_one_exit_is_not():
    assert report("OHLC", 100, 106, 96, 100) == AmbiguityReport(T0, "broker", 0, 0, 0.0, 0.0)


def test_the_difference_includes_slippage():
    slippage = {"model": "fixed", "price_impact": 0.01}
    assert report("OHLC", 100, 106, 94, 100, slippage=slippage).worse == pytest.approx(-1095.0)


def test_orders_that_share_too_little_volume_are_ambiguous_too():
    bench = Bench(SimulatedBroker("broker", {"intrabar": {"path": "OHLC", "report_ambiguity": True}}))
    bench.publish(
        a_bar(0),
        SubmitOrder(an_order("a", order_type=OrderType.LIMIT, limit_price=95.0), "broker"),
        SubmitOrder(an_order("b", order_type=OrderType.STOP, stop_price=105.0), "broker"),
        a_bar(1, 100, 106, 94, 100, volume=1000.0),
        ReportRequested(ts=T0),
    )
    # high first: 100 bought at 105 for -500 at the close; low first: 100 bought at 95 for +500
    assert bench.of(AmbiguityReport) == [AmbiguityReport(T0, "broker", 1, 2, 1000.0, 0.0)]


def test_without_being_asked_for_nothing_is_reported():
    bench = Bench(SimulatedBroker("broker"))
    bench.publish(a_bar(0), ReportRequested(ts=T0))
    assert bench.of(AmbiguityReport) == []
    assert ReportRequested not in SimulatedBroker("broker").handlers()


def test_both_paths_know_the_position_that_orders_may_reduce():
    bench = Bench(SimulatedBroker("broker", {"intrabar": {"path": "OHLC", "report_ambiguity": True}}))
    bench.publish(
        a_bar(0),
        SubmitOrder(an_order("entry"), "broker"),
        a_bar(1),
        SubmitOrder(
            an_order("target", order_type=OrderType.LIMIT, limit_price=105.0, reduce_only=True, **EXIT), "broker"
        ),
        SubmitOrder(an_order("stop", order_type=OrderType.STOP, stop_price=95.0, reduce_only=True, **EXIT), "broker"),
        a_bar(2, 100, 106, 94, 100),
        ReportRequested(ts=T0),
    )
    assert bench.of(AmbiguityReport) == [AmbiguityReport(T0, "broker", 1, 2, 0.0, -1000.0)]


def test_what_an_auction_takes_is_taken_on_both_paths():
    bench = Bench(SimulatedBroker("broker", {"intrabar": {"path": "OHLC", "report_ambiguity": True}}))
    bench.publish(
        a_bar(0),
        SubmitOrder(an_order("auction", order_type=OrderType.MARKET_ON_OPEN), "broker"),
        SubmitOrder(an_order("low", order_type=OrderType.LIMIT, limit_price=95.0), "broker"),
        SubmitOrder(an_order("high", order_type=OrderType.STOP, stop_price=105.0), "broker"),
        a_bar(1, 100, 106, 94, 100, volume=1000.0),
        ReportRequested(ts=T0),
    )
    assert bench.of(AmbiguityReport) == [AmbiguityReport(T0, "broker", 0, 0, 0.0, 0.0)]


def test_an_order_that_is_amended_in_the_bar_is_told_apart_from_the_others_on_both_paths():
    parameters = {"intrabar": {"report_ambiguity": True}, "latency": {"model": "fixed", "ms": 3_600_000}}
    bench = Bench(SimulatedBroker("broker", parameters))
    first, second = (
        an_order(name, order_type=OrderType.LIMIT, limit_price=price) for name, price in (("a", 95.0), ("b", 94.0))
    )
    bench.publish(a_bar(0), a_bar(1), SubmitOrder(first, "broker"), SubmitOrder(second, "broker"), a_bar(2))
    amended = an_order("b", order_type=OrderType.LIMIT, limit_price=95.0)
    bench.publish(SubmitReplace(amended, "broker", T0 + 2 * DAY_NS), a_bar(3, low=90.0))
    assert [fill.order_id for fill in bench.of(Fill)] == ["a", "b"]
