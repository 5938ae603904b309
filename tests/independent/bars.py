"""Daily bars for the comparisons: read with the standard library alone, and made from a seed."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from random import Random
from typing import NamedTuple

REAL = Path(__file__).resolve().parent.parent.parent / "configs" / "data" / "daily.csv"
VOLUME = 1_000_000
FIRST_DAY = dt.date(2020, 1, 1)


class Row(NamedTuple):
    """A day's prices of one symbol."""

    day: dt.date
    open: float
    high: float
    low: float
    close: float


Rows = dict[str, list[Row]]


def read(path: Path) -> Rows:
    """Symbol to its days, in order."""
    rows: Rows = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            prices = (float(line[name]) for name in ("open", "high", "low", "close"))
            rows.setdefault(line["symbol"], []).append(Row(dt.date.fromisoformat(line["timestamp"]), *prices))
    return rows


def generate(seed: int, count: int = 400, symbols: tuple[str, ...] = ("ONE", "TWO")) -> Rows:
    """Random walks with gaps. On every other seed prices are quarters: levels are then often hit exactly."""
    random = Random(seed)
    step = (0.01, 0.25)[seed % 2]
    return {symbol: _walk(random, count, step) for symbol in symbols}


def write(rows: Rows, path: Path) -> Path:
    """A file in the long form, every float with all its digits."""
    lines = [(row.day.isoformat(), symbol, *row[1:], VOLUME) for symbol in rows for row in rows[symbol]]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["timestamp", "symbol", "open", "high", "low", "close", "volume"])
        writer.writerows(sorted(lines))
    return path


def _walk(random: Random, count: int, step: float) -> list[Row]:
    rows, price = [], 100.0
    for n in range(count):
        gap = random.gauss(0, 0.04) if random.random() < 0.15 else random.gauss(0, 0.003)
        first = price * (1 + gap)
        last = first * (1 + random.gauss(0, 0.012))
        high = max(first, last) * (1 + abs(random.gauss(0, 0.008)))
        low = min(first, last) * (1 - abs(random.gauss(0, 0.008)))
        row = Row(FIRST_DAY + dt.timedelta(days=n), *(_on(step, price) for price in (first, high, low, last)))
        rows.append(row)
        price = 100.0 if not 20 < row.close < 500 else row.close
    return rows


def _on(step: float, price: float) -> float:
    return round(round(price / step) * step, 2)
