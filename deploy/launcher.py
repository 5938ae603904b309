"""Launches a plan: starts what it names, runs it to its end, and stops it again, whatever happens."""

from __future__ import annotations

import contextlib
import itertools
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bus.conductor import Conductor, Progress, Recorded
from bus.errors import EXIT_FAILED, EXIT_INTERRUPTED, AdmfError, ComponentError, ConfigError, LogError, StopNow
from bus.live import LiveBus
from bus.local import LocalBus
from bus.log import DigestLog, Log, LogWriter
from bus.runtime.garbage import collected_rarely
from bus.runtime.modes import ExecutionMode
from bus.wave import WaveBus
from deploy import __version__, json_text
from deploy.hosting import Hosting
from deploy.live import Watch, live_conductor
from deploy.live_hosting import open_live
from deploy.plan import Plan
from deploy.run_folder import COMPLETED, FAILED, INTERRUPTED, RunFolder, make_run_folder, write_text
from deploy.stopping import Interrupted, StopRequest
from deploy.tables import Table, equity_rows, equity_table, write_trades
from deploy.trades import Trades
from schemas import ClosedTrade, ComponentFailed, EquityCurve, Halt, RunCompleted, RunStarted
from schemas.registry import MESSAGE_TYPES, fields

AnyBus = LocalBus | WaveBus | LiveBus


@dataclass
class RunResult:
    """What a run gave. `status` is completed, failed or interrupted; times are in seconds of wall clock.

    `cpu_s` is the CPU time of the launching process from ready to the end, its log closed.
    """

    run_id: str
    run_dir: str
    mode: str
    placement: str
    status: str = FAILED
    digest: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    trades: Trades = field(default_factory=Trades)
    tables: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    ready_s: float = 0.0
    cpu_s: float = 0.0
    processes: list[dict[str, Any]] = field(default_factory=list)
    slow_handlers: list[dict[str, Any]] = field(default_factory=list)
    """`async def` handlers that held their event loop: component, handler, seconds, stack."""
    ended_by: str = ""
    """Why a live run ended: a signal, "end of data", its duration, ..."""
    error: str = ""
    exit_code: int = 0
    broken_off: bool = False
    """The run ended in the middle of something: its log has no footer."""

    @property
    def records(self) -> int:
        """Records of all types."""
        return sum(self.counts.values())

    def document(self) -> dict[str, Any]:
        """The result as one JSON object."""
        trades = [trade for trades in self._trades() for trade in trades]
        return {**self._before_trades(), "trades": trades, **self._after_trades()}

    def json_text(self, indent: int | None = None) -> Iterator[str]:
        """That object as JSON text, piece by piece.

        Raises:
            ValueError: a result is NaN or infinity, which JSON does not have.
        """
        return json_text.text_of(self._before_trades(), "trades", self._trades(), self._after_trades(), indent)

    def _trades(self) -> Iterator[list[dict[str, Any]]]:
        names = fields(ClosedTrade)
        return ([dict(zip(names, row, strict=True)) for row in rows] for rows in self.trades.rows())

    def _before_trades(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "run_dir": self.run_dir,
            "status": self.status,
            "mode": self.mode,
            "placement": self.placement,
            "digest": self.digest,
            "records": self.records,
            "bars": self.counts.get("Bar", 0),
            "orders": self.counts.get("Order", 0),
            "fills": self.counts.get("Fill", 0),
            "statistics": self.statistics,
        }

    def _after_trades(self) -> dict[str, Any]:
        return {
            "tables": self.tables,
            "elapsed_s": round(self.elapsed_s, 6),
            "ready_s": round(self.ready_s, 6),
            "cpu_s": round(self.cpu_s, 6),
            "processes": self.processes,
            **({"slow_handlers": self.slow_handlers} if self.slow_handlers else {}),
            **({"ended_by": self.ended_by} if self.ended_by else {}),
            **({"error": self.error} if self.error else {}),
        }


def launch(
    plan: Plan,
    progress: Progress | None = None,
    stop: StopRequest | None = None,
    recorded: Recorded | None = None,
    watch: Watch | None = None,
) -> RunResult:
    """Run the plan to its end and return what it gave; a failure is in the result, with its exit code.

    `recorded`, where given, is taken instead of what the plan's data sources would send. `watch` is for live runs,
    which have no `progress`.

    Raises:
        ConfigError: the run folder cannot be made, or the mode is REPLAY.
    """
    if plan.mode is ExecutionMode.REPLAY and recorded is None:
        raise ConfigError(
            "execution.mode: REPLAY has no data of its own to run; replay a captured run with admf replay LOG"
        )
    folder = make_run_folder(plan)
    run = _Run(plan, folder, progress, stop or StopRequest(), equity_table(folder.path), recorded, watch or Watch())
    with run.stop.listening(), collected_rarely():
        result = run.execute()
        try:
            _write_results(folder, result, run.equity)
        except OSError as error:
            _record_failure(LogError(f"{folder.path}: cannot write the results: {error.strerror}"), None, result)
        finally:
            run.stop.closing = False
    return result


def _write_results(folder: RunFolder, result: RunResult, equity: Table) -> None:
    if result.status == COMPLETED:
        result.tables = [write_trades(folder.path, result.trades), equity.close()]
    else:
        equity.abandon()
    folder.update(
        status=result.status,
        digest=result.digest,
        records=result.records,
        counts=result.counts,
        elapsed_s=result.elapsed_s,
        ready_s=result.ready_s,
        processes=result.processes,
        **({"slow_handlers": result.slow_handlers} if result.slow_handlers else {}),
        error=result.error,
    )
    write_text(folder.path / "results.json", itertools.chain(result.json_text(indent=2), "\n"))


@dataclass
class _Run:
    plan: Plan
    folder: RunFolder
    progress: Progress | None
    stop: StopRequest
    equity: Table
    recorded: Recorded | None = None
    watch: Watch = field(default_factory=Watch)
    _hosting: Hosting | None = None

    def execute(self) -> RunResult:
        plan = self.plan
        folder = self.folder.path
        result = RunResult(self.folder.run_id, str(folder), plan.mode, plan.placement, trades=Trades(folder))
        started, ready_cpu_s = time.perf_counter(), time.process_time()
        log = _make_log(plan, self.folder)
        bus: AnyBus | None = None
        stack = contextlib.ExitStack()
        with plan.execution:
            # Whatever a component or a person does, the run ends with a result and leaves nothing behind.
            try:
                bus = self._open(stack, log, result)
                result.ready_s, ready_cpu_s = time.perf_counter() - started, time.process_time()
                self._conduct(bus, result)
            except BaseException as error:
                _record_failure(error, bus, result)
            self.stop.closing = True
            try:
                stack.close()
            except BaseException as error:
                if result.status == COMPLETED:
                    _record_failure(error, bus, result)
            _close_log(log, result)
        result.elapsed_s, result.cpu_s = time.perf_counter() - started, time.process_time() - ready_cpu_s
        return result

    def _conduct(self, bus: AnyBus, result: RunResult) -> None:
        bus.tap(ClosedTrade, result.trades.add)
        bus.tap(EquityCurve, lambda block: self.equity.add(equity_rows(block)))
        completed = self._run(bus, result)
        result.statistics = completed.statistics
        result.counts = _counts(bus)
        result.status = COMPLETED

    def _run(self, bus: AnyBus, result: RunResult) -> RunCompleted:
        plan, started = self.plan, _run_started(self.plan)
        if isinstance(bus, LiveBus):
            live = live_conductor(plan, bus, started, self.stop, self.watch)
            completed = live.run()
            result.ended_by = live.ended_by
            return completed
        completed = Conductor(bus, plan.wiring, started, self._on_progress, self.recorded).run()
        if isinstance(bus, WaveBus):
            bus.finish()
        return completed

    def _on_progress(self, sent: int, total: int) -> None:
        if self._hosting is not None:
            self._hosting.look()
        if self.progress is not None:
            self.progress(sent, total)

    def _open(self, stack: contextlib.ExitStack, log: Log | None, result: RunResult) -> AnyBus:
        plan = self.plan
        hosting = self._hosting = Hosting(
            plan, self.folder, self._check, stack, result.processes, result.slow_handlers, self.stop.break_in
        )
        if plan.is_live:
            return open_live(hosting, log)
        if hosting.is_local:
            from deploy.express import express_of  # and with it components that may all be elsewhere

            local = LocalBus(plan.wiring, plan.context, log, hosting.means(), express_of)
            stack.callback(local.close)
            local.open()
            return local
        return WaveBus(plan.wiring, hosting.links(), log)

    def _check(self) -> None:
        """Called wherever somebody waits; raises to give up. A live run ends in good order instead: see
        `deploy.live`."""
        if not self.plan.is_live:
            self.stop.check()


def _make_log(plan: Plan, folder: RunFolder) -> Log | None:
    capture = plan.topology.bus.capture
    if capture == "full":
        return LogWriter(folder.log)
    return DigestLog() if capture == "digest" else None


def _run_started(plan: Plan) -> RunStarted:
    return RunStarted(plan.behaviour(), plan.behaviour_hash(), plan.wiring.schema_hash(), __version__)


def _counts(bus: AnyBus) -> dict[str, int]:
    return {MESSAGE_TYPES[type_id].__name__: count for type_id, count in sorted(bus.counts.items())}


def _record_failure(error: BaseException, bus: AnyBus | None, result: RunResult) -> None:
    interrupted = isinstance(error, Interrupted | StopNow)
    result.status = INTERRUPTED if interrupted else FAILED
    result.broken_off = isinstance(error, StopNow)
    result.exit_code = (
        error.exit_code if isinstance(error, AdmfError) else EXIT_INTERRUPTED if interrupted else EXIT_FAILED
    )
    result.error = str(error) if isinstance(error, AdmfError | StopNow) else "".join(traceback.format_exception(error))
    if isinstance(error, ComponentError) and error.traceback:
        result.error += f"\n{error.traceback.rstrip()}"
    if bus is None:
        return
    try:
        if isinstance(error, StopNow):
            # It may have stopped between a record and its place in the log: nothing is added, but what has no place.
            if isinstance(bus, LocalBus):
                bus.catch_up()
        elif not isinstance(error, LogError):
            bus.fail(_last_words(error, result.error))
    except Exception as also:
        # What made the run fail is what has to be known; that the log does not say so comes after it.
        result.error += f"\nThe log does not say so, for it could not be written any more: {also}"
    result.counts = _counts(bus)


def _last_words(error: BaseException, text: str) -> ComponentFailed | Halt:
    """Why the run ends before its end."""
    if isinstance(error, ComponentError):
        return ComponentFailed(error.component, error.error, error.traceback)
    return Halt(text)


def _close_log(log: Log | None, result: RunResult) -> None:
    if log is None:
        return
    try:
        if result.broken_off:
            log.abandon()
        else:
            result.digest = log.close()
    except AdmfError as error:
        if result.status == COMPLETED:
            _record_failure(error, None, result)
