"""Orders of which one cancels the others."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from components.broker.working import Working

GROUPS_KEPT: Final = 10_000
"""So many groups that are over are remembered, to turn away orders of theirs that come late."""


class Groups:
    """Who belongs together, and in which groups an order has filled completely."""

    def __init__(self) -> None:
        self._members: dict[str, list[Working]] = {}
        self._over: OrderedDict[str, None] = OrderedDict()

    def is_over(self, order: Working) -> bool:
        """Whether another order of its group has filled completely."""
        return order.group in self._over

    def join(self, order: Working) -> None:
        """Count an order in."""
        if order.group:
            self._members.setdefault(order.group, []).append(order)

    def leave(self, order: Working, filled: bool) -> None:
        """Count out an order that is final; if it has filled, the group is over."""
        group = order.group
        if not group:
            return
        if filled:
            self._over[group] = None
            if len(self._over) > GROUPS_KEPT:
                self._over.popitem(last=False)
        if others := self.siblings(order):
            self._members[group] = others
        else:
            self._members.pop(group, None)

    def siblings(self, order: Working) -> list[Working]:
        """The other members, in order of arrival."""
        return [other for other in self._members.get(order.group, ()) if other is not order]
