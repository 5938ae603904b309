"""JSON piece by piece is the JSON that `json.dumps` makes at once."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.json_text import text_of

text = st.text(max_size=4)
plain = st.one_of(text, st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans(), st.none())
objects = st.dictionaries(text, plain, min_size=1, max_size=3)
values = plain | st.lists(plain, max_size=2) | st.dictionaries(text, plain, max_size=2)
documents = st.dictionaries(text, values, min_size=1, max_size=3)
parts_of_list = st.lists(st.lists(objects, min_size=1, max_size=3), max_size=3)


@given(documents, text, parts_of_list, documents, st.sampled_from([2, 4, None]))
@example({"a": "},\n      {"}, "b", [[{"c": "}, {"}, {"c": "},\n      {"}], [{"d": "Ä"}]], {"e": []}, 2)
@example({"a": 1}, "b", [], {"e": {}}, 2)
@example({"a": 1}, "b", [[{"c": "}, {"}, {"c": 1e16}]], {"e": -0.0}, None)
def test_the_text_is_the_same(before, name, parts, after, indent):
    name = f"0{name}"  # no other key is the same
    before, after = {f"1{key}": value for key, value in before.items()}, {f"2{key}": v for key, v in after.items()}
    document = {**before, name: [each for part in parts for each in part], **after}
    assert "".join(text_of(before, name, parts, after, indent)) == json.dumps(document, indent=indent)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null_in_the_list_and_refused_beside_it(number):
    text = "".join(text_of({"a": 1}, "b", [[{"c": number, "d": "NaN"}, {"c": 2.5}]], {"e": 1}))
    assert json.loads(text)["b"] == [{"c": None, "d": "NaN"}, {"c": 2.5}]
    for before, after in ((number, 1), (1, number)):
        with pytest.raises(ValueError, match="JSON compliant"):
            "".join(text_of({"a": before}, "b", [[{"c": 1}]], {"d": after}))
