"""A strategy that is one function of arrays of bars, the same for a run bar by bar and for a compiled search."""

from __future__ import annotations

import importlib
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bus.runtime.component import Component, Parameters, handles
from bus.runtime.settings import RunContext
from schemas import Bar, Direction, Signal

REASON: Final = "array rule"
DIRECTIONS: Final = (-1, 0, 1)

_FIRST_ROOM: Final = 1024


class Bars(NamedTuple):
    """Bars of one symbol, oldest first; `ts` in ns UTC."""

    ts: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


Rule = Callable[[Bars, Any], Any]


class ArrayStrategyParameters(Parameters):
    """`rule` is a function `signals(bars, params)`, as "module.function", importable or beside the topology file.

    `params` are its numbers, by name. It is given at most the last `lookback` bars of a symbol, that being a number or
    the name of one of `params`; without it all that there have been. `symbols` limits it to these (empty: all).
    """

    rule: str | None = Field(default=None, pattern=r"^[\w.]+\.\w+$")
    params: dict[str, int | float] = Field(default_factory=dict)
    lookback: int | str | None = None
    symbols: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lookback_is_a_number(self) -> ArrayStrategyParameters:
        name = self.lookback
        if isinstance(name, str) and name not in self.params:
            raise ValueError(f"lookback is {name!r}, which is none of params: {', '.join(self.params) or 'none'}")
        bars = self.params[name] if isinstance(name, str) else name
        if bars is not None and (bars != int(bars) or bars < 1):
            raise ValueError(f"lookback is {bars}, which is not a whole number of bars above 0")
        return self

    @property
    def bars_back(self) -> int | None:
        """The longest history that the rule is given; None for all."""
        back = self.params[self.lookback] if isinstance(self.lookback, str) else self.lookback
        return None if back is None else int(back)


class ArrayStrategy(Component):
    """Signals what `signals(bars, params)` wants: an array with +1 (long), -1 (out, or short) or 0 (as before) a bar.

    After each bar the rule sees the bars so far and none that comes later; its last element counts. A signal is
    published when that is another direction than the last one. `bars` is a `Bars`, `params` a named tuple, so that
    the rule may be compiled with `numba.njit`. A rule that looks at many bars should have a `lookback`: without one,
    each bar costs as much as all before it.
    """

    component_type = "strategy"
    Parameters = ArrayStrategyParameters
    emits = (Signal,)
    partition_by: ClassVar = {Bar: "symbol"}

    parameters: ArrayStrategyParameters

    def reset(self) -> None:
        """Forget all bars."""
        self._rule = find_rule(self.parameters.rule)
        self._params = params_of(self.parameters.params)
        self._symbols = frozenset(self.parameters.symbols)
        self._histories: dict[str, _History] = {}
        self._wants: dict[str, int] = {}

    def faults(self, _context: RunContext) -> Sequence[str]:
        """A rule that is not given, or cannot be found."""
        if self.parameters.rule is None:
            return ["rule: is missing; name a function signals(bars, params), such as my_rules.momentum"]
        try:
            find_rule(self.parameters.rule)
        except (ImportError, AttributeError, TypeError) as error:
            return [f"rule: {self.parameters.rule!r} is not a function that can be found: {error}"]
        return ()

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Ask the rule, and signal a direction that is new."""
        symbol = bar.symbol
        history = self._histories.get(symbol)
        if history is None:
            if self._symbols and symbol not in self._symbols:
                return
            history = self._histories[symbol] = _History(self.parameters.bars_back)
        wish = int(self._rule(history.with_bar(bar), self._params)[-1])
        if wish not in DIRECTIONS:
            raise ValueError(
                f"{self.parameters.rule} wants {wish}; it may want 1 (long), -1 (out, or short) or 0 (as before)"
            )
        if wish and wish != self._wants.get(symbol, 0):
            self._wants[symbol] = wish
            direction = Direction.BUY if wish > 0 else Direction.SELL
            self.emit(Signal(bar.ts, symbol, direction, 1.0, bar.close, reason=REASON))


class _History:
    """The last bars of a symbol as arrays; views of one block, which moves on when it is full."""

    def __init__(self, back: int | None) -> None:
        self._back = back
        room = _FIRST_ROOM if back is None else max(2 * back, _FIRST_ROOM)
        self._ts = np.empty(room, np.int64)
        self._values = np.empty((5, room))
        self._size = 0

    def with_bar(self, bar: Bar) -> Bars:
        """The bars with one more."""
        if self._size == len(self._ts):
            self._make_room()
        at = self._size
        self._ts[at] = bar.ts
        self._values[:, at] = bar.open, bar.high, bar.low, bar.close, bar.volume
        self._size = at + 1
        first = 0 if self._back is None else max(0, self._size - self._back)
        return Bars(self._ts[first : self._size], *self._values[:, first : self._size])

    def _make_room(self) -> None:
        kept = self._size if self._back is None else self._back - 1
        room = 2 * len(self._ts) if self._back is None else len(self._ts)
        ts, values = np.empty(room, np.int64), np.empty((5, room))
        first = self._size - kept
        ts[:kept], values[:, :kept] = self._ts[first : self._size], self._values[:, first : self._size]
        self._ts, self._values, self._size = ts, values, kept


def find_rule(path: str | None) -> Rule:
    """The function at "module.function".

    Raises:
        ImportError, AttributeError, TypeError: it cannot be found, or is not a function.
    """
    module, _, name = (path or "").rpartition(".")
    rule: Rule = getattr(importlib.import_module(module), name)
    if not callable(rule):
        raise TypeError(f"it is {rule!r:.60}")
    return rule


def params_of(values: Mapping[str, int | float]) -> Any:
    """A named tuple of the numbers; always of the same class for the same names, as compiled functions want it."""
    return _params_class(tuple(values))(*values.values())


@lru_cache(maxsize=64)
def _params_class(names: tuple[str, ...]) -> Any:
    return namedtuple("Params", names)
