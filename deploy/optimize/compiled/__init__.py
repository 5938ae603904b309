"""Runs of a search as one compiled loop: the broker's rules for market orders, risk's sizing, the portfolio's books.

What it computes is what the event-driven engine computes, fill by fill; what it cannot do it refuses (`refusals`).
"""
