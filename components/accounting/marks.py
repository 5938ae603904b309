"""The price at which a holding is valued, where the market does not name one."""

from __future__ import annotations

from schemas import Quote


def middle(quote: Quote) -> float | None:
    """The middle of a quote with two sides; None with fewer, as an absent side (price 0, size 0) is no price."""
    bid, ask = quote.bid, quote.ask
    if (bid == 0 and quote.bid_quantity <= 0) or (ask == 0 and quote.ask_quantity <= 0):
        return None
    return (bid + ask) / 2
