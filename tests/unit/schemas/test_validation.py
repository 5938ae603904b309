"""What comes from outside is checked against the same definitions, all faults at once, each with its field."""

from __future__ import annotations

import inspect
import json

import msgspec
import pytest
from hypothesis import given, settings

from schemas import Bar, Direction, FeeLine, Fill, Order, OrderType, Signal, SubmitOrder
from schemas.codec import encode, to_builtins
from schemas.registry import TYPE_IDS
from schemas.validation import InvalidMessage, json_schema, model_of, validate
from tests.support.builders import a_bar, a_fill, a_signal, an_order
from tests.support.messages import any_message

every_type = pytest.mark.parametrize("message_type", TYPE_IDS, ids=lambda t: t.__name__)


@given(any_message())
@settings(max_examples=200)
def test_every_message_is_made_again_from_its_own_values(message):
    found = validate(type(message), to_builtins(message))
    assert found == message
    assert encode(found) == encode(message)


def test_what_is_left_out_gets_its_default():
    found = validate(Signal, {"ts": 1, "symbol": "AAPL", "direction": "BUY", "strength": 1, "price": 2})
    assert found == Signal(1, "AAPL", Direction.BUY, 1.0, 2.0)
    assert found.order_type is OrderType.MARKET


def test_all_faults_come_at_once_each_with_its_field():
    values = {"ts": "noon", "symbol": 3, "direction": "UP", "strength": float("nan"), "colour": "red"}
    with pytest.raises(InvalidMessage) as info:
        validate(Signal, values)
    assert str(info.value).split("; ") == [
        "Signal: ts: Input should be a valid integer, unable to parse string as an integer",
        "symbol: Input should be a valid string",
        "direction: Input should be 'BUY' or 'SELL'",
        "strength: Input should be a finite number",
        "price: Field required",
        "colour: Extra inputs are not permitted",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "much", None, [1.0]], ids=repr)
def test_a_price_must_be_a_finite_number(value):
    with pytest.raises(InvalidMessage, match=r"^Bar: open: "):
        validate(Bar, {**to_builtins(a_bar()), "open": value})


def test_faults_in_a_nested_message_have_their_whole_path():
    values = to_builtins(SubmitOrder(an_order(), "broker"))
    values["order"]["quantity"] = "many"
    values["order"]["tag"] = 1
    with pytest.raises(InvalidMessage, match=r"^SubmitOrder: order\.quantity: .*; order\.tag: Extra inputs"):
        validate(SubmitOrder, values)


def test_faults_in_a_list_of_messages_have_their_index():
    values = to_builtins(a_fill(fees=(FeeLine("sec", 1.0), FeeLine("taf", 2.0))))
    assert validate(Fill, values).fees == (FeeLine("sec", 1.0), FeeLine("taf", 2.0))
    values["fees"][1]["amount"] = "free"
    with pytest.raises(InvalidMessage, match=r"^Fill: fees\.1\.amount: "):
        validate(Fill, values)


def test_the_values_are_not_changed_and_nothing_of_them_is_shared():
    values = to_builtins(an_order())
    before = json.dumps(values)
    validate(Order, values)
    assert json.dumps(values) == before


@every_type
def test_the_json_schema_has_the_fields_their_order_and_the_id(message_type):
    schema = json_schema(message_type)
    fields = msgspec.structs.fields(message_type)
    assert schema["title"] == message_type.__name__
    assert schema["description"] == inspect.getdoc(message_type)
    assert schema["x-type-id"] == TYPE_IDS[message_type]
    assert schema["x-wire-order"] == list(schema["properties"]) == [field.name for field in fields]
    assert schema.get("required", []) == [field.name for field in fields if field.required]
    assert schema["additionalProperties"] is False
    json.dumps(schema, allow_nan=False)


def test_the_json_schema_names_the_words_of_an_enumeration_and_nested_messages():
    definitions = json_schema(SubmitOrder)["$defs"]
    assert definitions["Direction"]["enum"] == ["BUY", "SELL"]
    assert definitions["Order"]["properties"]["quantity"] == {"title": "Quantity", "type": "number"}
    assert definitions["Order"]["additionalProperties"] is False
    assert json_schema(Signal)["properties"]["limit_price"]["anyOf"] == [{"type": "number"}, {"type": "null"}]


def test_a_message_within_others_has_a_schema_but_no_id():
    assert json_schema(FeeLine)["x-type-id"] is None


def test_the_model_of_a_type_is_made_once():
    assert model_of(Bar) is model_of(Bar)
    assert model_of(Bar).model_validate(to_builtins(a_bar())).close == a_bar().close
    assert a_signal().direction is Direction.BUY
