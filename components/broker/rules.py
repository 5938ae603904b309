"""The names of the execution rules, which a fill's `rule` gives. docs/execution-rules.md has an example of each."""

from __future__ import annotations

from typing import Final

RULES: Final[dict[str, str]] = {
    "market_open": "A market order fills at the open of the first bar that begins after it arrived.",
    "market_arrival": "A market order that arrives while a bar is under way fills at the path's price at that moment.",
    "market_latest": "With fill_price latest, a market order fills at the latest price: at once, or at the next close.",
    "market_conservative": "With fill_price conservative, a market order buys at the bar's high and sells at its low.",
    "market_vwap": "With fill_price vwap, a market order fills at the mean of open, high, low and close.",
    "market_close": "With fill_price close, a market order fills at the next bar's close.",
    "market_quote": "A market order buys at the ask and sells at the bid.",
    "market_trade": "Where there are trades but no quotes, a market order fills at the next trade's price.",
    "market_on_open": "A market-on-open order fills at the open of a session's first bar.",
    "market_on_close": "A market-on-close order fills at the close of a session's last bar.",
    "last_close": "After the last bar a market order fills at the last price, without regard to volume.",
    "given_price": "The caller of execute_order named the price.",
    "limit_price": "The bar trades at the limit (or through it, if so configured): filled at the limit.",
    "limit_open": "The bar opens at the limit or better: filled at the open.",
    "limit_arrival": "The price is at the limit or better at the moment of arrival: filled at that price.",
    "limit_trigger": "The trigger is touched when the price is at the limit or better: filled at that price.",
    "limit_conservative": "With fill_price conservative, a limit order fills at its limit and never better.",
    "limit_latest": "With fill_price latest, a limit order that the latest price meets fills at it at once.",
    "limit_quote": "The other side's quote is at the limit or better: filled at the quote.",
    "limit_trade": "A trade is at the limit or better: a new order fills at its price, a resting one at its limit.",
    "stop_price": "The bar touches the stop price: filled there.",
    "stop_open": "The bar opens at or beyond the stop price: filled at the open.",
    "stop_arrival": "The price is at or beyond the stop price at the moment of arrival: filled at that price.",
    "stop_conservative": "With fill_price conservative, a triggered stop buys at the bar's high and sells at its low.",
    "stop_latest": "With fill_price latest, a stop order that the latest price has reached fills at it at once.",
    "stop_quote": "The quote is at or beyond the stop price: filled at the quote.",
    "stop_trade": "A trade is at or beyond the stop price: filled at its price.",
    "touched_price": "The bar touches the trigger of an if-touched order: filled there.",
    "touched_open": "The bar opens at the trigger or better: filled at the open.",
    "touched_arrival": "The price is at the trigger or better at the moment of arrival: filled at that price.",
    "touched_conservative": "With fill_price conservative, a touched order fills at the bar's high or low, as a stop.",
    "touched_latest": "With fill_price latest, a touched order that the latest price has reached fills at it at once.",
    "touched_quote": "The quote is at the trigger or better: filled at the quote.",
    "touched_trade": "A trade is at the trigger or better: filled at its price.",
    "passthrough_given": "The passthrough broker fills at the price that it was given.",
    "passthrough_limit": "The passthrough broker fills a limit order at its limit price.",
    "passthrough_stop": "The passthrough broker fills a stop order at its stop price.",
    "passthrough_latest": "The passthrough broker fills at the latest market price, or at the first one that comes.",
}
"""Rule id to the sentence that explains it. Ids are part of the log: they are added to, never renamed."""
