"""Keeps the account: positions, round trips, and equity over time."""

from components.portfolio.portfolio import Portfolio

__all__ = ["Portfolio"]
