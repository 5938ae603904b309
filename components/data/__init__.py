"""Market data sources."""

from components.data.historical import HistoricalDataHandler

__all__ = ["HistoricalDataHandler"]
