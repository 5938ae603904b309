from __future__ import annotations

import re
from pathlib import Path

from components.broker.rules import RULES
from components.broker.simulated import SimulatedBrokerParameters
from tests.golden.cases import listing

PAGE = (Path(__file__).parents[3] / "docs" / "execution-rules.md").read_text()


def test_the_page_explains_every_rule_in_the_words_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+\.) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == RULES
    assert len(rows) == len(RULES)


def test_the_page_lists_every_worked_case():
    _, _, cases = PAGE.partition("## Worked cases\n")
    assert cases.strip() == listing()


def test_the_page_names_every_parameter():
    parameters = PAGE.partition("## Parameters")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)(?:\.[a-z_]+)?`", parameters))
    assert named >= set(SimulatedBrokerParameters.model_fields)


def test_every_rule_says_in_a_sentence_when_it_applies():
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in RULES.values())
