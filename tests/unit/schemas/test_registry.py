"""What was once said stays said: ids, names and the order of fields never change."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

import schemas
from schemas import MESSAGE_TYPES, TYPE_IDS, TYPES_BY_NAME, EventType, FeeLine, Message
from schemas.registry import all_types, field_types, fields

FIRST_PUBLISHED = """
1 TypeDeclared: type_id name fields field_types
2 SourceDeclared: source_id name component_type class_name takes emits
3 RunStarted: config config_hash schema_hash version
4 StartStream: source
5 EndOfStream: source count
6 Drained: round
7 ReportRequested: ts
8 RunCompleted: statistics counts
9 ComponentFailed: component error traceback
10 Halt: reason
11 StreamEnding: source ts
15 Checkpoint: count
20 Bar: ts symbol open high low close volume
21 Quote: ts symbol bid bid_quantity ask ask_quantity
22 Trade: ts symbol price quantity
30 Signal: ts symbol direction strength price order_type limit_price stop_price time_in_force quantity target_price
   stop_loss_price reason
40 Order: order_id symbol direction quantity order_type ts limit_price stop_price time_in_force expire_ts
   trail_amount trail_pct post_only reduce_only group_id group_type parent_id reason
41 CancelOrder: order_id ts symbol reason
42 ReplaceOrder: order_id ts quantity limit_price stop_price reason
43 SubmitOrder: order broker
44 SubmitCancel: order_id broker ts reason
45 SubmitReplace: order broker ts
46 BrokerReport: order_id broker report ts code reason quantity
47 OrderStatus: order_id symbol previous state filled_quantity average_price ts code reason
48 Fill: fill_id order_id symbol direction quantity price commission ts broker rule reference_price slippage bar_ts
   leaves_quantity liquidity budget_before budget_after fees
60 ClosePositions: ts rule reason
61 PositionUpdate: ts symbol quantity average_price realised_pnl cash fees currency
62 ClosedTrade: trade_id symbol direction quantity entry_ts entry_price exit_ts exit_price realised_pnl fees
   slippage_cost entry_fill_id exit_fill_id currency
64 AccountReport: ts initial_cash final_cash final_equity realised_pnl unrealised_pnl fees slippage_cost
   traded_value fills open_positions other_equity
65 AmbiguityReport: ts broker bars orders better worse
66 EquityCurve: ts equity cash exposure net_exposure
70 SetTimer: timer_id ts
71 CancelTimer: timer_id
72 TimerFired: component timer_id ts
73 StopStream: source
74 EdgeReport: component event subject reason count
"""
"""By id, the name and the fields with which each type was first published. A type is added here when it is added
there; fields that are appended later need not be, and nothing that stands here ever changes."""

FIRST_FIELDS = {
    int(type_id): (name, names.split())
    for type_id, name, names in re.findall(r"^(\d+) (\w+):((?: +\w+|\n +\w+)+)$", FIRST_PUBLISHED, re.MULTILINE)
}

every_type = pytest.mark.parametrize("message_type", TYPE_IDS, ids=lambda t: t.__name__)


def test_every_id_belongs_to_the_type_that_had_it_first():
    assert {type_id: cls.__name__ for type_id, cls in MESSAGE_TYPES.items()} == {
        type_id: name for type_id, (name, _) in FIRST_FIELDS.items()
    }


@every_type
def test_fields_are_only_appended_and_with_a_default(message_type):
    _, first = FIRST_FIELDS[TYPE_IDS[message_type]]
    now = msgspec.structs.fields(message_type)
    assert [field.name for field in now[: len(first)]] == first
    assert not any(field.required for field in now[len(first) :])


def test_fee_lines_travel_only_inside_fills_and_keep_their_fields_too():
    assert FeeLine not in TYPE_IDS
    assert FeeLine.__struct_fields__[:2] == ("name", "amount")


def test_ids_and_names_are_unique():
    assert len(TYPE_IDS) == len(TYPES_BY_NAME) == len(MESSAGE_TYPES)
    assert all(TYPE_IDS[cls] == type_id for type_id, cls in MESSAGE_TYPES.items())
    assert [type_id for type_id, _ in all_types()] == sorted(MESSAGE_TYPES)
    assert all(0 < type_id < 1000 for type_id in MESSAGE_TYPES), "from 1,000 on they are the user's"


def test_every_message_that_is_defined_is_registered_and_exported():
    defined = {cls for cls in Message.__subclasses__() if cls.__module__.startswith("schemas.")}
    assert defined - {FeeLine} == set(TYPE_IDS)
    assert {cls.__name__ for cls in defined} <= set(schemas.__all__)


def test_every_type_that_components_exchange_has_a_topic_name():
    exchanged = {cls.__name__ for type_id, cls in MESSAGE_TYPES.items() if type_id >= 20}
    assert {event.value for event in EventType} == exchanged
    assert all(event.message_type.__name__ == event for event in EventType)
    assert EventType.BAR.name == "BAR"
    assert EventType.CANCEL_ORDER.name == "CANCEL_ORDER"


@every_type
def test_every_message_says_what_it_means(message_type):
    text = inspect.getdoc(message_type)
    assert text != inspect.getdoc(Message)
    assert len(text.split()) >= 4


@every_type
def test_no_field_of_a_message_can_be_set(message_type):
    message = _any(message_type)
    for name in fields(message_type):
        with pytest.raises(AttributeError, match="immutable type"):
            setattr(message, name, getattr(message, name))


@every_type
def test_no_field_holds_what_can_be_changed_except_where_the_run_has_ended(message_type):
    mutable = [
        name for name, hint in get_type_hints(message_type).items() if "list" in str(hint) or "set[" in str(hint)
    ]
    assert mutable == []
    if "dict" in str(get_type_hints(message_type)):
        assert message_type.__name__ in ("RunCompleted", "AccountReport")


@every_type
def test_the_declaration_of_a_type_has_one_python_type_for_each_field(message_type):
    assert len(fields(message_type)) == len(field_types(message_type))
    assert fields(message_type) == message_type.__struct_fields__
    assert all(field_types(message_type))


def test_field_types_are_as_they_are_written():
    assert field_types(schemas.Quote) == ("int", "str", "float", "float", "float", "float")
    assert field_types(schemas.SubmitOrder) == ("Order", "str")
    assert field_types(schemas.Fill)[-1] == "tuple[FeeLine, ...]"


def test_the_readme_states_the_rules_of_evolution():
    text = " ".join((Path(schemas.__file__).parent / "README.md").read_text().split())
    for rule in ("only ever appended", "has a default", "skips the fields that it does not know", "one type for ever"):
        assert rule in text
    assert "1,000" in text


def _any(message_type: type[Message]) -> Message:
    """One message, with None in fields for which no value matters here."""
    return message_type(*[None] * len(message_type.__struct_fields__))
