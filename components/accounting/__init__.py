"""Bookkeeping: what is held, what it cost, what it earned."""
