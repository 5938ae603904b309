from __future__ import annotations

from components.broker.groups import GROUPS_KEPT, Groups
from components.broker.working import Working
from schemas import GroupType
from tests.support.builders import an_order


def a_member(number: int, group: str = "g") -> Working:
    terms = {"group_id": group, "group_type": GroupType.OCO} if group else {}
    return Working.of(an_order(f"risk-{number}", **terms), number)


def test_siblings_are_the_other_members_in_order_of_arrival():
    groups = Groups()
    first, second, third, stranger = (*(a_member(n) for n in (1, 2, 3)), a_member(4, "other"))
    for order in (first, second, third, stranger):
        groups.join(order)
    assert groups.siblings(second) == [first, third]
    assert groups.siblings(stranger) == []


def test_an_order_without_a_group_has_no_siblings():
    groups = Groups()
    for order in (a_member(1, ""), a_member(2, "")):
        groups.join(order)
    assert groups.siblings(a_member(3, "")) == []
    assert not groups.is_over(a_member(3, ""))


def test_a_group_is_over_when_a_member_has_filled():
    groups = Groups()
    first, second = a_member(1), a_member(2)
    groups.join(first)
    groups.join(second)
    groups.leave(second, filled=False)
    assert not groups.is_over(first)
    groups.leave(first, filled=True)
    assert groups.is_over(a_member(3))
    assert groups.siblings(a_member(3)) == []


def test_groups_that_are_over_are_not_remembered_for_ever():
    groups = Groups()
    for n in range(GROUPS_KEPT + 1):
        groups.leave(a_member(n, f"group-{n}"), filled=True)
    assert not groups.is_over(a_member(1, "group-0"))
    assert groups.is_over(a_member(1, "group-1"))
