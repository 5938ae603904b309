"""Strategies: market data in, signals out."""

from components.strategy.moving_average import MovingAverageCrossover

__all__ = ["MovingAverageCrossover"]
