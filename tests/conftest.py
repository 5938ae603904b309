"""Options of the suite.

`--seed N`: the one seed for the tests that draw their faults at random, to see a failure again.
`--update-golden`: golden captures are written anew from what the code does now. Look at the difference.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No example has a time limit: a busy machine is no fault of the code. CI runs the same examples every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

SEEDS = range(3)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="the only seed for tests with random faults")
    parser.addoption("--update-golden", action="store_true", help="write the golden captures anew")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        seed = metafunc.config.getoption("seed")
        metafunc.parametrize("seed", SEEDS if seed is None else [seed], ids=lambda n: f"seed={n}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    report = outcome.get_result()
    seed = getattr(item, "callspec", None) and item.callspec.params.get("seed")
    if report.failed and seed is not None:
        report.sections.append(("seed", f"this failure again: pytest {item.nodeid.partition('[')[0]} --seed {seed}"))
