"""`admf log why`: a fill back to the bar that caused it, naming rule, prices, slippage, volume and fees."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import LogError
from deploy.replay.telling import sentences
from deploy.replay.why import explain
from tests.support.captures import captured
from tests.support.launching import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Ten bars and an order of every type, computed by hand; see tests/golden/main_job."""
    config = ROOT / "tests" / "golden" / "main_job" / "topology.yaml"
    return Path(captured(tmp_path_factory.mktemp("run"), config=config).run_dir)


@pytest.fixture(scope="module")
def backtest(tmp_path_factory) -> Path:
    short = ("backtest.start_date=2010-01-01", "backtest.end_date=2010-12-31", "backtest.symbols=[AAPL]")
    return Path(captured(tmp_path_factory.mktemp("run"), *short, config=ROOT / "configs" / "backtest.yaml").run_dir)


def told(path: Path, subject: str) -> list[str]:
    return list(sentences(explain(path, subject)))


def test_a_fill_names_rule_bar_price_slippage_volume_and_fees(run):
    lines = told(run, "broker-1")
    assert lines[0] == (
        "Fill broker-1: broker bought 100 ACME at 101.101 on 2020-01-03T00:00:00Z for order a; nothing left to fill."
    )
    assert lines[1].startswith("  Rule market_open: A market order fills at the open of the first bar")
    assert lines[2].startswith("  The bar of ACME that closed at 2020-01-03T00:00:00Z: open 101, high ")
    assert lines[3] == (
        "  Price: 101 in the market + 0.101 of slippage = 101.101 (10.00 bps, 10.10 in all, against the order)."
    )
    assert "units of that bar could still be had in ACME" in lines[4]
    assert lines[5].startswith("  Fees 10.1101: commission 10.1101.")
    assert lines[6].startswith("Order a: buy 100 ACME, market, GTC, made at 2020-01-02T00:00:00Z (seq ")
    assert "because of the bar of ACME that closed at 2020-01-02T00:00:00Z" in lines[7]
    assert lines[-1].endswith("a is FILLED, 100 filled at 101.101")


def test_an_order_is_led_back_through_its_signal_to_the_bar(backtest):
    lines = told(backtest, "risk_manager-1")
    assert lines[0].startswith("Order risk_manager-1: buy ")
    assert "Its reason: fast average crossed above slow average." in lines[1]
    assert lines[2].startswith("  because of the signal to buy AAPL with strength 1, seen at a price of ")
    assert lines[3].startswith("  because of the bar of AAPL that closed at ")
    assert any(line.startswith("Fill broker-1: broker bought ") for line in lines)


def test_a_trade_is_told_with_both_of_its_orders_and_what_it_made(backtest):
    lines = told(backtest, "portfolio-1")
    assert lines[0].startswith("Trade portfolio-1: long ")
    assert "(fill broker-1), out at " in lines[0]
    assert lines[1].startswith("  It made ")
    assert [line.partition(":")[0] for line in lines if line.startswith("Order ")] == [
        "Order risk_manager-1",
        "Order risk_manager-2",
    ]


def test_a_working_order_that_was_never_filled_tells_its_end(run):
    lines = told(run, "i")
    assert lines[0].startswith("Order i: buy 10 ACME, limit, limit 90, GTC, made at ")
    assert any("i is CANCELLED" in line for line in lines)
    assert not any(line.startswith("Fill ") for line in lines)


def test_a_seq_leads_to_the_order_that_it_is_about_or_to_its_causes(run):
    story = explain(run, "broker-1")
    fill_seq = story.orders[0].fills[0][1][0][0].seq
    assert told(run, str(fill_seq)) == told(run, "broker-1")
    bar = told(run, str(story.orders[0].chain[-1][0].seq))
    assert bar[0].startswith("seq ")
    assert "data_handler published Bar" in bar[0]


def test_the_story_is_one_json_object_too(run):
    document = explain(run, "broker-1").document()
    (order,) = document["orders"]
    (fill,) = order["fills"]
    assert fill["rule_text"].startswith("A market order fills at the open")
    assert [cause["type"] for cause in fill["causes"]] == ["Fill", "Bar"]
    assert [step["state"] for step in order["life"]] == ["RECEIVED", "VALIDATED", "ROUTED", "FILLED"]


@pytest.mark.parametrize("subject", ["nobody-1", "999999", "brok"])
def test_what_the_log_does_not_know_is_said_to_be_so(run, subject):
    with pytest.raises(LogError, match=r"there is no seq 999999; the last is \d+|is called '(nobody-1|brok)'"):
        explain(run, subject)
