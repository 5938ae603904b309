"""Which answers of resting orders go into one table of records."""

from __future__ import annotations

import pytest

from bus.runtime.resting import Answered, Request
from deploy.resting_patterns import form_of
from schemas import CancelOrder, Signal
from tests.support.builders import T0, a_signal, an_order


def order(reason: str = "") -> Request:
    return an_order("risk-2", reason=reason)


def cancel(reason: str = "") -> Request:
    return CancelOrder("risk-1", T0, reason=reason)


def bar(*answers: list[Request], reasons: tuple[str, ...] = ()) -> Answered:
    """A bar with a signal for each of these answers."""
    signals: list[Signal] = [a_signal(reason=reasons[n] if reasons else "") for n in range(len(answers))]
    return Answered(0, T0, signals, list(answers), [request for requests in answers for request in requests])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bar([order()]), bar([cancel()])),
        (bar([order("x")]), bar([cancel("x")])),
        (bar([order(), cancel()]), bar([cancel(), order()])),
        (bar([order()]), bar([order(), order()])),
        (bar([order(), cancel()]), bar([order()], [cancel()])),
        (bar([order()], [cancel()]), bar([order(), cancel()], [])),
        (bar([]), bar([], [])),
        (bar([cancel("x")]), bar([cancel("xx")])),
        (bar([order()], reasons=("x",)), bar([order()], reasons=("xx",))),
    ],
)
def test_answers_of_another_kind_have_another_form(one, other):
    assert form_of(one) != form_of(other)


def test_numbers_ids_and_texts_do_not_matter():
    one = bar([an_order("risk-1", quantity=1.0, reason="up")], reasons=("down",))
    other = bar([an_order("risk-22", quantity=2.0, reason="no")], reasons=("rise",))
    assert form_of(one) == form_of(other)
