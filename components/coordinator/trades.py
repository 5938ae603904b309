"""What a run's round trips say about it, gathered as they come: however many, in little memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.coordinator.exact import ExactSum

Floats = NDArray[np.float64]


@dataclass
class TradeAnalysis:
    """All that is gathered of round trips: profits and losses net of fees, sizes, and holding times in hours."""

    count: int = 0
    wins: ExactSum = field(default_factory=ExactSum)
    losses: ExactSum = field(default_factory=ExactSum)
    sizes: ExactSum = field(default_factory=ExactSum)
    hours: ExactSum = field(default_factory=ExactSum)
    largest_win: float = 0.0
    largest_loss: float = 0.0

    def add(self, pnl: Floats, quantities: Floats, hours: Floats) -> None:
        """Some more of them: profit of each, quantity of each, and how long they were held as far as that is known."""
        wins, losses = pnl[pnl > 0], pnl[pnl < 0]
        self.count += len(pnl)
        self.wins.add(wins)
        self.losses.add(losses)
        self.sizes.add(np.abs(quantities))
        self.hours.add(hours)
        self.largest_win = float(wins.max(initial=self.largest_win))
        self.largest_loss = float(losses.min(initial=self.largest_loss))
