"""The lines that a live run writes while it is under way."""

from __future__ import annotations

from deploy.cli.live_status import StatusLines
from deploy.live import Status
from tests.support.builders import T0


def test_a_line_now_and_then_says_how_far_the_run_is():
    now, written = [100.0], []
    lines = StatusLines(written.append, 5.0, lambda: now[0])
    lines.running()
    for seconds, count in [(1, 10), (5, 1000), (6, 1100), (11, 2200)]:
        now[0] = 100.0 + seconds
        lines.status(
            Status(
                T0,
                {"Bar": count, "Order": 2, "Fill": 1, "EdgeReport": 3},
                lag=seconds - 5,
                total=0 if seconds < 9 else 5000,
            )
        )
    traded, at = "2 orders, 1 fills", "2020-01-02 00:00:00Z"
    assert written == [
        "Running; Ctrl-C ends the run in good order, a second one breaks it off.",
        f"{at}  1,000 data (200/s), {traded}, 3 edge reports",
        f"{at}  2,200 of 5,000 data (200/s), {traded}, slowest host 6 records behind, 3 edge reports",
    ]
