"""Every golden case, computed by hand from docs/execution-rules.md, run against its broker."""

from __future__ import annotations

import pytest

from components.broker.rules import RULES
from tests.golden.cases import expected_of, load_cases, run_case, said_of

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['theme']}: {case['name']}")
def test_the_broker_does_what_was_computed_by_hand(case):
    expected = expected_of(case)
    said = run_case(case)
    found = [said_of(message, wanted) for message, wanted in zip(said, expected, strict=False)]
    assert (found, len(said)) == (expected, len(expected)), said


def test_there_are_enough_cases_with_names_of_their_own():
    names = [case["name"] for case in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_every_case_says_which_rule_it_shows():
    assert [case["name"] for case in CASES if not case.get("rule", "").endswith(".")] == []


def test_every_rule_has_a_case():
    shown = {item["rule"] for case in CASES for item in expected_of(case) if "fill" in item}
    assert shown == set(RULES) - {"given_price", "passthrough_given"}
