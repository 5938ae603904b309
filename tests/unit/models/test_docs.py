"""docs/models.md names every model, parameter and table, and its example works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.models.commission import COMMISSION_MODELS
from components.models.fees import read_table, table_names
from components.models.latency import LATENCY_MODELS
from components.models.slippage import SLIPPAGE_MODELS
from schemas import Direction

TEXT = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
MODELS = [
    pytest.param(name, model, id=f"{registry.kind}-{name}")
    for registry in (SLIPPAGE_MODELS, COMMISSION_MODELS, LATENCY_MODELS)
    for name, model in registry.builtin.items()
]


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_every_model_and_parameter_is_documented(name, model):
    missing = [word for word in (name, *model.model_fields) if f"`{word}`" not in TEXT]
    assert not missing


@pytest.mark.parametrize("name", table_names())
def test_every_fee_table_is_documented_with_its_date(name):
    assert re.search(rf"`{name}` \| {read_table(name)['model']} \| {read_table(name)['in_force']} ", TEXT)


def test_the_example_of_a_users_model_works():
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    namespace = {"__name__": "example"}
    exec(code, namespace)
    assert namespace["HalfSpread"](spread=0.02).apply_slippage(100.0, Direction.BUY, 1.0) == 101.0
