"""Golden cases of brokers: YAML that says what goes in and what must come out, step by step.

A file holds a `theme` and a list of `cases`. A case has a `name`, the `rule` that it shows in one sentence, `broker`
(parameters of the broker; `class: PassthroughBroker` for the other one), `instrument` (of every symbol), `seed`, and
`steps`. A step is one input and, under `then`, everything that the broker must say to it, in order:

    bar: [open, high, low, close, volume]     closes one day after the bar before it, or `at` a time
    quote: [bid, bid quantity, ask, ask quantity]
    trade: [price, quantity]
    submit: {id: a, buy: 100, ...}            `buy` or `sell` a quantity; type MARKET unless given; fields of Order
    cancel: a
    replace: {id: a, limit_price: 99}         what is not given stays as it was submitted
    ending: true                              the next timestamp is the last
    end: true                                 there are no more data
    report_requested: true                    the run is over

Every step may have `at`, "<day> <time>" (day 0 is 2020-01-02, times are UTC), and market data `symbol` (default
AAPL). What a fill or report must be is given field by field; what is left out is not looked at.

    {fill: a, quantity: 100, price: 102, rule: market_open}    any other field of Fill too
    {report: CANCELLED, order: b, code: OCO}                   any other field of BrokerReport too
    {ambiguity: broker, bars: 1}                               any other field of AmbiguityReport too
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from bus.runtime.settings import Instrument, RunContext, RunSettings
from components.broker import BrokerBase, PassthroughBroker, SimulatedBroker
from schemas import (
    AmbiguityReport,
    Bar,
    BrokerReport,
    Direction,
    EndOfStream,
    Fill,
    Message,
    Order,
    OrderType,
    Quote,
    ReportRequested,
    StreamEnding,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
    Trade,
)
from schemas.validation import validate
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0

FOLDER = Path(__file__).parent / "bars"
BROKER = "broker"
ANSWERS = (Fill, BrokerReport, AmbiguityReport)
_NAMES: dict[type[Message], dict[str, str]] = {
    Fill: {"fill": "order_id"},
    BrokerReport: {"order": "order_id"},
    AmbiguityReport: {"ambiguity": "broker"},
}


class Input(NamedTuple):
    """A message and the time (ns UTC) at which it is published."""

    ts: int
    message: Message


def load_cases() -> list[dict[str, Any]]:
    """Every case of every file, its theme with it."""
    files = sorted(FOLDER.glob("*.yaml"))
    pages = [yaml.safe_load(path.read_text()) for path in files]
    return [{"theme": page["theme"], **case} for page in pages for case in page["cases"]]


def inputs_of(case: dict[str, Any]) -> list[Input]:
    """The case's timestamped input messages, in order."""
    return list(_inputs(case))


def expected_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """What must be said, in order; each with the time at which it must be."""
    expected = []
    for step, (ts, _) in zip(case["steps"], inputs_of(case), strict=True):
        expected += [{"ts": ts, **item} for item in step.get("then", ())]
    return expected


def broker_of(case: dict[str, Any]) -> BrokerBase:
    """The case's broker, not initialized yet."""
    parameters = dict(case.get("broker", {}))
    broker_class = PassthroughBroker if parameters.pop("class", "") == "PassthroughBroker" else SimulatedBroker
    return broker_class(BROKER, parameters)


def context_of(case: dict[str, Any]) -> RunContext:
    """The case's run context; its source is called "data"."""
    instrument = case.get("instrument", {})
    instruments = tuple(Instrument(symbol=symbol, **instrument) for symbol in ("AAPL", "MSFT"))
    run = RunSettings(symbols=("AAPL", "MSFT"), instruments=instruments, seed=case.get("seed", 0))
    return RunContext(run=run, sources=("data",), brokers={BROKER: ()})


def run_case(case: dict[str, Any]) -> list[Message]:
    """What the broker says to the case's inputs."""
    bench = Bench(broker_of(case), context=context_of(case))
    for ts, message in inputs_of(case):
        bench.publish(message, ts=ts)
    return [message for message in bench.said if isinstance(message, ANSWERS)]


def said_of(message: Message, expected: dict[str, Any]) -> dict[str, Any]:
    """What the message says where `expected` says something, under the same names."""
    names = _NAMES[type(message)]
    return {name: _plain(getattr(message, names.get(name, name), None)) for name in expected}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [[line.name, round(line.amount, 9)] for line in value]
    return _rounded(value) if isinstance(value, float) else value


def _rounded(value: float) -> float:
    """To nine places, or of something tiny to nine digits."""
    return round(value, 9) if abs(value) >= 1e-6 else float(f"{value:.9g}")


def _inputs(case: dict[str, Any]) -> Iterator[Input]:
    orders: dict[str, Order] = {}
    ts, bars = T0, 0
    for step in case["steps"]:
        if "at" in step:
            ts = _time(step["at"])
        elif "bar" in step:
            ts = T0 + bars * DAY_NS
        bars += "bar" in step
        yield Input(ts, _message(step, ts, orders))


def _message(step: dict[str, Any], ts: int, orders: dict[str, Order]) -> Message:
    symbol = step.get("symbol", "AAPL")
    for name, message_type in (("bar", Bar), ("quote", Quote), ("trade", Trade)):
        if name in step:
            return message_type(ts, symbol, *map(float, step[name]))
    if "submit" in step:
        order = _order(step["submit"], ts)
        orders[order.order_id] = order
        return SubmitOrder(order, BROKER)
    if "replace" in step:
        terms = {name: _number(value) for name, value in step["replace"].items() if name != "id"}
        if "expire_at" in terms:
            terms["expire_ts"] = _time(str(terms.pop("expire_at")))
        return SubmitReplace(msgspec.structs.replace(orders[step["replace"]["id"]], **terms), BROKER, ts)
    if "cancel" in step:
        return SubmitCancel(step["cancel"], BROKER, ts)
    if "report_requested" in step:
        return ReportRequested(ts)
    return StreamEnding("data", ts) if "ending" in step else EndOfStream("data", 0)


def _order(terms: dict[str, Any], ts: int) -> Order:
    direction = Direction.BUY if "buy" in terms else Direction.SELL
    values = {name: value for name, value in terms.items() if name not in ("id", "buy", "sell", "type")}
    if "expire_at" in values:
        values["expire_ts"] = _time(values.pop("expire_at"))
    named = {
        "order_id": terms["id"],
        "direction": direction,
        "quantity": terms[direction.lower()],
        "order_type": terms.get("type", OrderType.MARKET),
    }
    order = validate(Order, {"symbol": "AAPL", "ts": ts, **named, **values})
    assert isinstance(order, Order)
    return order


def _number(value: object) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time(at: str) -> int:
    """ns UTC of "<day> <HH:MM[:SS]>"."""
    day, _, time = at.partition(" ")
    hours, minutes, seconds = ([*map(float, time.split(":")), 0.0])[:3]
    return T0 + int(day) * DAY_NS + round((hours * 3600 + minutes * 60 + seconds) * 1e9)


def listing() -> str:
    """The cases by theme, as docs/execution-rules.md lists them."""
    lines: list[str] = []
    theme = ""
    for case in load_cases():
        if case["theme"] != theme:
            theme = case["theme"]
            lines += ["", f"### {theme}", ""]
        lines.append(f"- {case['name']}")
    return "\n".join(lines).strip()
