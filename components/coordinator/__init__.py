"""Drives a run from its start to its result, and works out the statistics."""

from components.coordinator.coordinator import BacktestCoordinator

__all__ = ["BacktestCoordinator"]
