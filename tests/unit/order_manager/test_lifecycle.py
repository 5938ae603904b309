import itertools
from pathlib import Path

import pytest

from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.lifecycle import (
    FINAL_STATES,
    TRANSITIONS,
    OrderEvent,
    as_markdown,
    as_mermaid,
    refusal,
)
from schemas import OrderState

PAGE = Path(__file__).parents[3] / "docs" / "order-life-cycle.md"
FILLS = {OrderEvent.FILL, OrderEvent.LAST_FILL}


def test_the_table_has_a_row_for_every_state_and_nothing_else():
    assert set(TRANSITIONS) == set(OrderState)


def test_every_event_in_every_state_leads_to_a_state_or_is_refused():
    for state, event in itertools.product(OrderState, OrderEvent):
        if event in TRANSITIONS[state]:
            assert TRANSITIONS[state][event] in OrderState
        else:
            assert f"cannot take {event}" in refusal(state, event)


def test_every_event_is_legal_somewhere():
    assert {event for row in TRANSITIONS.values() for event in row} == set(OrderEvent)


def test_every_state_can_be_reached_from_received():
    reached, frontier = set(), {OrderState.RECEIVED}
    while frontier:
        reached |= frontier
        frontier = {following for state in frontier for following in TRANSITIONS[state].values()} - reached
    assert reached == set(OrderState)


def test_final_states_are_left_by_nothing_but_a_late_fill():
    for state in FINAL_STATES:
        assert set(TRANSITIONS[state]) <= FILLS
        assert set(TRANSITIONS[state].values()) <= FINAL_STATES


def test_filled_and_rejected_take_nothing_at_all():
    assert TRANSITIONS[OrderState.FILLED] == {}
    assert TRANSITIONS[OrderState.REJECTED] == {}


@pytest.mark.parametrize("state", [OrderState.CANCELLED, OrderState.EXPIRED])
def test_a_late_fill_leaves_a_dead_order_dead_unless_it_completes_it(state):
    assert TRANSITIONS[state][OrderEvent.FILL] is state
    assert TRANSITIONS[state][OrderEvent.LAST_FILL] is OrderState.FILLED


def test_a_state_that_is_not_final_can_always_end():
    for state in set(OrderState) - FINAL_STATES:
        assert FINAL_STATES & set(TRANSITIONS[state].values())


def test_doubt_comes_only_to_orders_that_a_broker_has():
    doubtful = {state for state, row in TRANSITIONS.items() if OrderEvent.IN_DOUBT in row}
    assert doubtful == {OrderState.ROUTED, OrderState.PARTIAL, OrderState.UNKNOWN}


def test_an_illegal_transition_says_what_would_be_legal():
    text = refusal(OrderState.RECEIVED, OrderEvent.FILL)
    assert text.startswith("an order that is RECEIVED cannot take FILL; it can take VALIDATED,")
    text = refusal(OrderState.FILLED, OrderEvent.CANCELLED)
    assert text.endswith("cannot take CANCELLED; it can take nothing, it is final")


def test_the_page_shows_the_table_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    assert as_markdown() in page
    assert f"```mermaid\n{as_mermaid()}\n```" in page


def test_the_page_explains_every_code_and_no_other():
    named = [line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted([*RejectCode, *NoticeCode])
