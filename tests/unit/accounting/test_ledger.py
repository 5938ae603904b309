"""The books: identities that hold for any fills, and accounts in several currencies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.settings import Instrument
from components.accounting.ledger import Account, Ledger, LedgerError
from schemas import Direction
from tests.support.builders import a_fill

BUY, SELL = Direction.BUY, Direction.SELL


def book(ledger, fill):
    return ledger.apply(fill, ledger.position(fill.symbol))


def test_a_purchase_takes_its_price_and_its_commission_from_the_cash():
    ledger = Ledger(10_000.0)
    book(ledger, a_fill(quantity=10.0, price=100.0, commission=2.5, slippage=0.1))
    assert (ledger.cash, ledger.fees, ledger.traded_value, ledger.fills) == (8_997.5, 2.5, 1_000.0, 1)
    assert ledger.slippage_cost == 1.0


def test_equity_values_longs_and_shorts_at_the_marks():
    ledger = Ledger(10_000.0)
    book(ledger, a_fill("1", symbol="AAPL", quantity=10.0, price=100.0))
    book(ledger, a_fill("2", symbol="MSFT", direction=SELL, quantity=5.0, price=200.0))
    marks = {"AAPL": 110.0, "MSFT": 210.0}
    assert ledger.exposure(marks) == (1_100.0 + 1_050.0, 1_100.0 - 1_050.0)
    assert ledger.equity(marks) == 10_000.0 + 100.0 - 50.0
    assert ledger.unrealised_pnl(marks) == 50.0


def test_only_positions_that_are_not_flat_are_open():
    ledger = Ledger()
    book(ledger, a_fill("1"))
    assert list(ledger.open) == ["AAPL"]
    book(ledger, a_fill("2", direction=SELL))
    assert not ledger.open
    assert list(ledger.positions) == ["AAPL"]


def test_books_that_do_not_add_up_are_an_error():
    ledger = Ledger()
    book(ledger, a_fill("1"))
    ledger.positions["AAPL"].quantity = 90.0
    with pytest.raises(LedgerError, match=r"position AAPL: 190.0 is held, but 200.0 was bought and 0.0 sold"):
        book(ledger, a_fill("2"))


def test_books_that_add_up_but_for_rounding_are_none():
    ledger = Ledger()
    for n, (direction, quantity) in enumerate([(BUY, 0.1), (BUY, 0.2), (SELL, 0.3)]):
        book(ledger, a_fill(f"{n}", direction=direction, quantity=quantity))
    position = ledger.positions["AAPL"]
    assert position.quantity == 0.0 != position.bought - position.sold


fills = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "MSFT", "BTC"]),
        st.sampled_from([BUY, SELL]),
        st.one_of(st.integers(1, 500).map(float), st.floats(0.001, 100.0)),
        st.floats(0.5, 500.0),
        st.floats(-1.0, 20.0),
        st.floats(-0.05, 0.5),
    ),
    max_size=40,
)
prices = st.fixed_dictionaries({symbol: st.floats(0.5, 500.0) for symbol in ("AAPL", "MSFT", "BTC")})


def books_of(deals):
    ledger, trips = Ledger(100_000.0), []
    for n, (symbol, direction, quantity, price, commission, slippage) in enumerate(deals):
        fill = a_fill(
            f"f-{n}",
            symbol=symbol,
            direction=direction,
            quantity=quantity,
            price=price,
            commission=commission,
            slippage=slippage,
        )
        trip = book(ledger, fill)
        trips += [trip] if trip else []
    return ledger, trips


@given(fills)
def test_a_position_is_the_sum_of_its_fills(deals):
    ledger, _ = books_of(deals)
    for symbol, position in ledger.positions.items():
        signed = [d[1].sign * d[2] for d in deals if d[0] == symbol]
        assert position.quantity == pytest.approx(math.fsum(signed), abs=1e-9 * math.fsum(map(abs, signed)))


@given(fills)
def test_cash_is_what_was_there_less_what_was_paid(deals):
    ledger, _ = books_of(deals)
    paid = math.fsum(direction.sign * quantity * price + fee for _, direction, quantity, price, fee, _ in deals)
    assert ledger.cash == pytest.approx(100_000.0 - paid, rel=1e-9, abs=1e-6)


@given(fills, prices)
def test_equity_changes_by_what_closed_trades_and_open_positions_earned(deals, marks):
    ledger, trips = books_of(deals)
    earned = math.fsum(trip.realised_pnl for trip in trips) + ledger.unrealised_pnl(marks)
    assert ledger.equity(marks) - 100_000.0 == pytest.approx(earned, rel=1e-9, abs=1e-4)
    assert ledger.realised_pnl == pytest.approx(math.fsum(trip.realised_pnl for trip in trips), abs=1e-6)


@given(fills)
def test_every_fee_and_all_slippage_ends_up_in_a_round_trip_or_an_open_position(deals):
    ledger, trips = books_of(deals)
    held = ledger.positions.values()
    fees = math.fsum(trip.fees for trip in trips) + math.fsum(position.fees for position in held)
    slippage = math.fsum(trip.slippage_cost for trip in trips) + math.fsum(position.slippage for position in held)
    assert fees == pytest.approx(math.fsum(d[4] for d in deals), abs=1e-6)
    assert slippage == pytest.approx(ledger.slippage_cost, abs=1e-6)


INSTRUMENTS = {
    "AAPL": Instrument(symbol="AAPL"),
    "SAP": Instrument(symbol="SAP", currency="EUR"),
    "ES": Instrument(symbol="ES", multiplier=50.0),
}


def test_a_contract_is_worth_its_multiplier():
    account = Account(100_000.0, "USD", INSTRUMENTS.__getitem__)
    account.apply(a_fill("1", symbol="ES", quantity=1.0, price=4000.0, slippage=0.25))
    assert account.main.equity({"ES": 4010.0}) == 100_500.0
    assert (account.main.traded_value, account.main.slippage_cost) == (200_000.0, 12.5)


def test_a_currency_with_a_rate_is_converted():
    account = Account(100_000.0, "USD", INSTRUMENTS.__getitem__, {"EUR": 1.25})
    account.apply(a_fill("1", symbol="SAP", quantity=100.0, price=10.0, commission=4.0))
    assert account.main.cash == 100_000.0 - 1_250.0 - 5.0
    assert account.main.equity({"SAP": 12.0}) == 100_000.0 + 250.0 - 5.0
    assert not account.others


def test_a_currency_without_a_rate_is_kept_beside_the_account():
    account = Account(100_000.0, "USD", INSTRUMENTS.__getitem__)
    account.apply(a_fill("1", symbol="SAP", quantity=100.0, price=10.0, commission=4.0))
    account.apply(a_fill("2", symbol="AAPL", quantity=1.0, price=50.0))
    marks = {"SAP": 12.0, "AAPL": 50.0}
    assert [(book.currency, book.equity(marks)) for book in account.ledgers()] == [("", 100_000.0), ("EUR", 196.0)]
    assert account.apply(a_fill("3", symbol="SAP", quantity=1.0))[0].currency == "EUR"


def test_a_fill_is_booked_once():
    account = Account(100_000.0, "USD", INSTRUMENTS.__getitem__)
    account.apply(a_fill("1"))
    assert account.apply(a_fill("1")) == (account.main, account.main.positions["AAPL"], None)
    assert account.main.positions["AAPL"].quantity == 100.0
