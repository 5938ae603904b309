"""Local workers of a search, killed in all the ways there are."""

from __future__ import annotations

import os
import signal
from multiprocessing import active_children

import pytest

from bus.errors import AdmfError
from deploy.optimize.pool import LocalWorkers
from deploy.run_folder import FAILED
from tests.support import killing

pytestmark = [pytest.mark.processes, pytest.mark.one_python, pytest.mark.timeout(60)]


@pytest.fixture
def workers():
    """Makes workers that do what a function says, and ends them."""
    made = []

    def make(run, width=2, **more):
        made.append(LocalWorkers(width, lambda: None, run=run, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert active_children() == []


def test_no_kill_at_a_random_moment_loses_a_job(workers):
    found = killing.run_while_killing(kills=6, seed=1, batch=30)
    assert all(outcome.statistics.get("job") == job for job, outcome in found.outcomes.items())
    assert sorted(found.outcomes) == list(range(len(found.outcomes)))
    assert found.replaced in (found.killed, found.killed - 1)  # the last may have been killed after the last job


def test_a_job_that_kills_its_workers_fails_alone_and_says_how(workers):
    pool = workers(killing.kills_its_worker, width=1)
    outcomes = dict(pool.run(range(3)))
    assert [outcomes[job].error for job in range(3)] == ["", "its worker died 3 times, killed by SIGKILL", ""]
    assert outcomes[1].status == FAILED
    assert pool.replaced == 3


def test_idle_workers_that_were_killed_between_batches_are_replaced(workers):
    pool = workers(killing.spins)
    assert len(dict(pool.run(range(4)))) == 4
    for child, number in zip(active_children(), (signal.SIGKILL, signal.SIGTERM), strict=False):
        os.kill(child.pid, number)
        child.join(10)
    assert len(dict(pool.run(range(4)))) == 4
    assert pool.replaced >= 1


def test_a_job_that_takes_too_long_fails_and_its_worker_is_ended(workers):
    pool = workers(killing.waits_for_ever, width=1, timeout_s=0.05)
    (outcome,) = dict(pool.run(range(1))).values()
    assert (outcome.status, outcome.error) == (FAILED, "it took longer than trial_timeout_s allows (0.05 s)")
    assert pool.replaced == 1


def test_an_exception_that_nobody_thought_of_is_an_outcome(workers):
    outcomes = dict(workers(killing.raises, width=1).run(range(1)))
    assert (outcomes[0].status, outcomes[0].error) == (FAILED, "LookupError: 0")


def test_a_batch_that_is_left_in_the_middle_disturbs_no_later_one(workers):
    pool = workers(killing.spins)
    batch = pool.run(range(6))
    next(batch)
    batch.close()
    outcomes = dict(pool.run(range(100, 106)))
    assert [outcomes[place].statistics["job"] for place in range(6)] == list(range(100, 106))


def test_workers_that_can_never_start_end_the_search(workers, monkeypatch):
    monkeypatch.setattr("deploy.optimize.pool._serve", killing.ends_at_once)
    monkeypatch.setattr("deploy.optimize.pool._FALSE_STARTS", 3)
    with pytest.raises(AdmfError, match="workers cannot be started: 3 in a row ended at once, the last exit code 0"):
        list(workers(killing.spins, width=1).run(range(2)))
