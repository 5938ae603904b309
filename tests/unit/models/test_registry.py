"""Models of the user's own: by entry point and by dotted path."""

from __future__ import annotations

import textwrap

import pytest

from components.models.commission import CommissionConfig, make_commission
from components.models.registry import unknown
from components.models.slippage import SLIPPAGE_MODELS, SlippageConfig, make_slippage
from schemas import Direction, FeeLine, Liquidity

IMPACT = """
from components.models.commission import CommissionModel
from components.models.slippage import SlippageModel


class DoublePrice(SlippageModel):
    factor: float = 1.0

    def impact(self, terms):
        return self.factor


class OnePerOrder(CommissionModel):
    def order_cost(self, order, fill):
        return 1.0


class NotAModel:
    pass
"""

ENTRY_POINTS = """
[admf.slippage_models]
double = user_impact_package:DoublePrice
broken = user_impact_package:NoSuchThing

[admf.commission_models]
one = user_impact_package:OnePerOrder
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with models of its own."""
    (tmp_path / "user_impact_package.py").write_text(textwrap.dedent(IMPACT))
    info = tmp_path / "user_impact_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: user-impact-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(textwrap.dedent(ENTRY_POINTS))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_a_slippage_model_is_found_by_its_entry_point():
    model = make_slippage(SlippageConfig(model="double", factor=0.5))
    assert model.apply_slippage(10.0, Direction.BUY, 1.0) == 15.0


@pytest.mark.usefixtures("package")
def test_a_commission_model_is_found_by_its_entry_point():
    model = make_commission(CommissionConfig(model="one"))
    assert model.fees(10.0, 1.0, Direction.BUY, "o-1", Liquidity.TAKER, 0) == (FeeLine("commission", 1.0),)


@pytest.mark.usefixtures("package")
def test_a_model_is_found_by_its_dotted_path():
    model = make_slippage(SlippageConfig(model="user_impact_package.DoublePrice"))
    assert model.apply_slippage(10.0, Direction.SELL, 1.0) == 0.0


@pytest.mark.usefixtures("package")
def test_entry_points_are_listed_among_the_known_models():
    assert {"double", "fixed"} <= set(SLIPPAGE_MODELS.names())


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken", r"'broken' \(user_impact_package:NoSuchThing\) cannot be loaded: .*NoSuchThing"),
        ("user_impact_package.NotAModel", "not a subclass of SlippageModel"),
        ("user_impact_package.Missing", "cannot be loaded"),
        ("no_such_module.Model", "No module named 'no_such_module'"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_with_the_reason(name, text):
    with pytest.raises(ValueError, match=text):
        SlippageConfig(model=name)


@pytest.mark.usefixtures("package")
def test_an_unknown_parameter_of_a_users_model_is_refused():
    with pytest.raises(ValueError, match="unknown parameter 'factr'; did you mean 'factor'"):
        SlippageConfig(model="double", factr=2.0)


def test_the_sentence_for_an_unknown_name_lists_what_is_known():
    assert unknown("thing", "xyz", ["b", "a"]) == "unknown thing 'xyz'; known are a, b"
