"""Ten bars and an order of every type, computed by hand, in every placement."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from bus.log_reader import LogReader
from schemas import Bar, Fill, OrderState, OrderStatus
from tests.support.launching import launch_json

FOLDER = Path(__file__).parent / "main_job"
EXPECTED = yaml.safe_load((FOLDER / "expected.yaml").read_text())
A_TENTH_OF_A_CENT = 1e-3


@pytest.fixture(scope="module", params=["local", "threads", "processes"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    document = launch_json(FOLDER / "topology.yaml", folder, "--placement", request.param)
    reader = LogReader(Path(document["run_dir"]))
    return document, [reader.message(record) for record in reader]


def test_every_fill_is_as_computed_by_hand(run):
    _, messages = run
    bar_numbers = {bar.ts: n for n, bar in enumerate((m for m in messages if isinstance(m, Bar)), 1)}
    fills = [m for m in messages if isinstance(m, Fill)]
    assert [fill.order_id for fill in fills] == [row["order_id"] for row in EXPECTED["fills"]]
    for fill, row in zip(fills, EXPECTED["fills"], strict=True):
        assert bar_numbers[fill.bar_ts] == row["bar"]
        assert (fill.direction, fill.quantity, fill.reference_price) == (
            row["direction"],
            row["quantity"],
            row["reference_price"],
        )
        assert fill.price == pytest.approx(row["price"], abs=1e-9)
        assert fill.commission == pytest.approx(row["commission"], abs=1e-9)


def test_the_money_is_right_to_the_cent(run):
    document, _ = run
    assert document["statistics"]["final_equity"] == pytest.approx(EXPECTED["final_equity"], abs=A_TENTH_OF_A_CENT)
    assert document["statistics"]["fees"] == pytest.approx(EXPECTED["fees"], abs=A_TENTH_OF_A_CENT)


def test_orders_end_filled_or_cancelled_and_nothing_else(run):
    _, messages = run
    last = {m.order_id: m.state for m in messages if isinstance(m, OrderStatus)}
    cancelled = dict.fromkeys(EXPECTED["cancelled"], OrderState.CANCELLED)
    filled = {row["order_id"]: OrderState.FILLED for row in EXPECTED["fills"]}
    assert last == {**filled, **cancelled}


def test_bars_are_those_of_the_file(run):
    _, messages = run
    days = [dt.datetime.fromtimestamp(m.ts / 1e9, dt.UTC).date() for m in messages if isinstance(m, Bar)]
    assert (days[0], days[-1], len(days)) == (dt.date(2020, 1, 2), dt.date(2020, 1, 15), 10)
