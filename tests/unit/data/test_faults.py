"""How faults are gathered and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bus.errors import DataError
from components.data.faults import TOLD, Faults


def test_faults_are_told_in_order_of_file_and_row() -> None:
    faults = Faults()
    faults.add(Path("b.csv"), "late", 7)
    faults.add(Path("a.csv"), "later", 12)
    faults.add(Path("a.csv"), "early", 3)
    faults.add(Path("a.csv"), "whole")
    assert faults.texts() == ("a.csv: whole", "a.csv, row 3: early", "a.csv, row 12: later", "b.csv, row 7: late")


def test_the_first_twenty_are_told_and_the_rest_counted_whatever_the_order_of_finding() -> None:
    faults = Faults()
    for row in range(5_000, 0, -1):
        faults.add(Path("a.csv"), "bad", row)
    texts = faults.texts()
    assert len(texts) == TOLD + 1
    assert texts[0] == "a.csv, row 1: bad"
    assert texts[19] == "a.csv, row 20: bad"
    assert texts[20] == "... and 4980 more"


def test_rows_that_a_mask_marks_are_counted_in_full_and_described_by_index() -> None:
    faults = Faults()
    faults.add_rows(Path("a.csv"), np.array([False, True, True]), np.array([2, 4, 9]), lambda i: f"index {i}")
    assert faults.texts() == ("a.csv, row 4: index 1", "a.csv, row 9: index 2")


def test_an_error_carries_every_text_and_none_is_raised_without_a_fault() -> None:
    faults = Faults()
    faults.raise_if_any()
    faults.add(Path("a.csv"), "bad", 2)
    with pytest.raises(DataError, match="row 2: bad") as caught:
        faults.raise_if_any()
    assert caught.value.faults == ["a.csv, row 2: bad"]
