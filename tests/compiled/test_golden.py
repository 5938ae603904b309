"""The broker's golden cases, computed by hand, that a compiled run can do; of the others it says why it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.broker.simulated import SimulatedBroker
from components.risk.sizing import RiskStubParameters
from deploy.optimize.compiled import loop
from deploy.optimize.compiled.program import instruments_of, market_of, rules_of
from deploy.optimize.compiled.refusals import broker_refusals, instrument_refusals
from deploy.optimize.compiled.state import LATEST, new_state
from schemas import Bar, EndOfStream, OrderType, StreamEnding, SubmitOrder, TimeInForce
from tests.golden.cases import broker_of, context_of, expected_of, inputs_of, load_cases

CASES = load_cases()


def reasons(case: dict[str, Any]) -> list[str]:
    """Why a case cannot run compiled: its configuration, or orders that no array rule can lead to."""
    broker = broker_of(case)
    if not isinstance(broker, SimulatedBroker):
        return ["the broker's class"]
    found = broker_refusals(broker.parameters)
    for instrument in context_of(case).run.instruments:
        found += instrument_refusals(instrument, "USD")
    last = None
    for ts, message in inputs_of(case):
        if isinstance(message, Bar) and message.symbol == "AAPL":
            last = ts
        elif isinstance(message, SubmitOrder):
            order = message.order
            plain = (order.order_type, order.time_in_force, order.group_id, order.reduce_only, order.symbol)
            if plain != (OrderType.MARKET, TimeInForce.GTC, "", False, "AAPL"):
                found.append(f"an order of {plain}")
            elif last not in (None, ts):
                found.append("an order inside a bar")
        elif not isinstance(message, StreamEnding | EndOfStream):
            found.append(f"a {type(message).__name__}")
    return found


RUNNABLE = [case for case in CASES if not reasons(case)]


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda case: case["name"])
def test_the_loop_does_what_was_computed_by_hand(case):
    expected = expected_of(case)
    found = fills_of(case)
    assert len(found) == len(expected)
    for fill, wanted in zip(found, expected, strict=True):
        of_interest = {k: v for k, v in wanted.items() if k in ("fill", "ts", "quantity", "price", "commission")}
        assert {name: _plain(fill[name]) for name in of_interest} == of_interest


def test_these_cases_run_compiled():
    assert len(RUNNABLE) >= 25, [case["name"] for case in RUNNABLE]


def fills_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The case's bars and orders through the compiled functions."""
    bars = [message for _, message in inputs_of(case) if isinstance(message, Bar)]
    columns = list(zip(*((b.open, b.high, b.low, b.close, b.volume) for b in bars), strict=True))
    market = market_of(("AAPL",), np.array([bar.ts for bar in bars]), np.zeros(len(bars), np.int64), columns)
    broker, run = broker_of(case), context_of(case).run
    rules, instruments = rules_of(run, RiskStubParameters(), broker.parameters), instruments_of(run, market)
    state = new_state(1, 100, 100, 100, run.initial_cash)
    names, row, ended = [], -1, False
    for ts, message in inputs_of(case):
        if isinstance(message, Bar):
            row += 1
            state.books[0]["row"] = row
            loop.on_bar(rules, instruments, market.tape, state, row)
        elif isinstance(message, SubmitOrder):
            names.append(message.order.order_id)
            sign = float(message.order.direction.sign)
            order = state.orders[loop.submit(instruments, state, 0, sign, message.order.quantity, False)]
            bar = market.tape[row]
            if ended:
                loop.fill_at_last_price(rules, instruments, state, order, bar, ts)
            elif rules.fill_price == LATEST and row >= 0:
                loop.match(rules, instruments, state, order, bar, row, bar["close"], ts)
        ended = ended or isinstance(message, EndOfStream)
        loop.forget_done(state, 0)
    fills = state.fills[: state.totals[0]["fills"]]
    return [
        {
            "fill": names[fill["order"]],
            "ts": int(fill["ts"]),
            "quantity": float(abs(fill["quantity"])),
            "price": float(fill["price"]),
            "commission": float(fill["commission"]),
        }
        for fill in fills
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 9) if abs(value) >= 1e-6 else float(f"{value:.9g}")
    return value
