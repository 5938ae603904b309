"""Orders of which one cancels the others."""

from __future__ import annotations

from typing import Final

from components.broker.working import Working
from schemas import GroupType, Order


def group_of(order: Order) -> str:
    """The group in which one order cancels the others, empty if there is none.

    OCO orders share their group, the children of a bracket (its target and its stop) their parent.
    """
    if order.group_type is GroupType.OCO:
        return order.group_id
    if order.group_type is GroupType.BRACKET and order.parent_id:
        return f"children of {order.parent_id}"
    return ""


GROUPS_KEPT: Final = 10_000
"""So many groups that are over are remembered, to turn away orders of theirs that come late."""


class Groups:
    """Who belongs together, and in which groups an order has filled completely."""

    def __init__(self) -> None:
        self._members: dict[str, list[Working]] = {}
        self._over: dict[str, None] = {}

    def is_over(self, order: Working) -> bool:
        """Whether another order of its group has filled completely."""
        return group_of(order.order) in self._over

    def join(self, order: Working) -> None:
        """Count an order in."""
        if group := group_of(order.order):
            self._members.setdefault(group, []).append(order)

    def leave(self, order: Working, filled: bool) -> None:
        """Count out an order that is final; if it has filled, the group is over."""
        group = group_of(order.order)
        if not group:
            return
        if filled:
            self._over[group] = None
            if len(self._over) > GROUPS_KEPT:
                del self._over[next(iter(self._over))]
        if others := self.siblings(order):
            self._members[group] = others
        else:
            self._members.pop(group, None)

    def siblings(self, order: Working) -> list[Working]:
        """The other members, in order of arrival."""
        group = group_of(order.order)
        return [other for other in self._members.get(group, ()) if other is not order] if group else []
