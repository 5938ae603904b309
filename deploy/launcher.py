"""Launches a plan: starts what it names, runs it to its end, and stops it again, whatever happens."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.conductor import Bus, Conductor, Progress
from bus.errors import EXIT_FAILED, EXIT_INTERRUPTED, AdmfError, ComponentError, LogError, StopNow
from bus.hosts import MainThreadLink, PoolLink, ThreadLink
from bus.hub import Hub
from bus.local import LocalBus
from bus.log import DigestLog, Log, LogWriter
from bus.roster import EndpointSpec
from bus.runtime.affinity import thread_affinity
from bus.runtime.context import ExecutionContext
from bus.runtime.modes import Isolation, ThreadModel
from bus.runtime.pools import OPTIMIZATION, ThreadPoolManager, pool_names, pool_of
from bus.runtime.runner import Member, Runner, emitted_types
from bus.wave import Link, WaveBus
from deploy import __version__
from deploy.plan import Entry, Plan
from deploy.processes import ProcessGroup
from deploy.run_folder import COMPLETED, FAILED, INTERRUPTED, RunFolder, make_run_folder, write_json
from deploy.stopping import Interrupted, StopRequest
from deploy.tables import write_tables
from schemas import ClosedTrade, ComponentFailed, EquityCurve, Halt, RunCompleted, RunStarted
from schemas.codec import to_builtins
from schemas.registry import MESSAGE_TYPES, TYPE_IDS

_SOCKET_PATH_BYTES = 107


@dataclass
class RunResult:
    """What a run gave. `status` is completed, failed or interrupted; times are in seconds of wall clock."""

    run_id: str
    run_dir: str
    mode: str
    placement: str
    status: str = FAILED
    digest: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    trades: list[ClosedTrade] = field(default_factory=list)
    curve: list[EquityCurve] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    ready_s: float = 0.0
    processes: list[dict[str, Any]] = field(default_factory=list)
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
            "trades": [to_builtins(trade) for trade in self.trades],
            "tables": self.tables,
            "elapsed_s": round(self.elapsed_s, 6),
            "ready_s": round(self.ready_s, 6),
            "processes": self.processes,
            **({"error": self.error} if self.error else {}),
        }


def launch(plan: Plan, progress: Progress | None = None, stop: StopRequest | None = None) -> RunResult:
    """Run the plan to its end and return what it gave; a failure is in the result, with its exit code.

    Raises:
        ConfigError: the run folder cannot be made.
    """
    folder = make_run_folder(plan)
    run = _Run(plan, folder, progress, stop or StopRequest())
    with run.stop.listening():
        result = run.execute()
        try:
            _write_results(folder, result)
        except OSError as error:
            _record_failure(LogError(f"{folder.path}: cannot write the results: {error.strerror}"), None, result)
        finally:
            run.stop.closing = False
    return result


def _write_results(folder: RunFolder, result: RunResult) -> None:
    if result.status == COMPLETED:
        result.tables = write_tables(folder.path, result.trades, result.curve)
    folder.update(
        status=result.status,
        digest=result.digest,
        records=result.records,
        counts=result.counts,
        elapsed_s=result.elapsed_s,
        ready_s=result.ready_s,
        processes=result.processes,
        error=result.error,
    )
    write_json(folder.path / "results.json", result.document())


@dataclass
class _Run:
    plan: Plan
    folder: RunFolder
    progress: Progress | None
    stop: StopRequest

    def execute(self) -> RunResult:
        plan = self.plan
        result = RunResult(self.folder.run_id, str(self.folder.path), plan.mode, plan.placement)
        started = time.perf_counter()
        log = _make_log(plan, self.folder)
        bus: LocalBus | WaveBus | None = None
        stack = contextlib.ExitStack()
        with plan.execution:
            # Whatever a component or a person does, the run ends with a result and leaves nothing behind.
            try:
                bus = self._open(stack, log, result)
                result.ready_s = time.perf_counter() - started
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
        result.elapsed_s = time.perf_counter() - started
        return result

    def _conduct(self, bus: LocalBus | WaveBus, result: RunResult) -> None:
        conductor = Conductor(bus, self.plan.wiring, _run_started(self.plan), self._on_progress)
        bus.tap(ClosedTrade, result.trades.append)
        bus.tap(EquityCurve, result.curve.append)
        completed: RunCompleted = conductor.run()
        if isinstance(bus, WaveBus):
            bus.finish()
        result.statistics = completed.statistics
        result.counts = _counts(bus)
        result.status = COMPLETED

    def _on_progress(self, sent: int, total: int) -> None:
        self.stop.check()
        if self.progress is not None:
            self.progress(sent, total)

    def _open(self, stack: contextlib.ExitStack, log: Log | None, result: RunResult) -> LocalBus | WaveBus:
        plan = self.plan
        remote = plan.at(Isolation.PROCESS_ISOLATED)
        result.processes.append(
            {"pid": os.getpid(), "components": [e.name for e in plan.entries if e not in remote], "role": "hub"}
        )
        if all(entry.isolation is Isolation.SHARED for entry in plan.entries):
            local = LocalBus(plan.wiring, plan.context, log)
            stack.callback(local.close)
            local.open()
            return local
        links: list[Link] = []
        if remote:
            links.append(self._open_hub(stack, remote, result))
        links += self._open_threads(stack)
        return WaveBus(plan.wiring, links, log)

    def _open_threads(self, stack: contextlib.ExitStack) -> Iterator[Link]:
        plan, bus = self.plan, self.plan.topology.bus
        pools = _pools(plan)
        stack.callback(pools.shutdown, wait=False, cancel_futures=True)
        for entry in plan.entries:
            if entry.isolation is Isolation.THREAD_ISOLATED:
                link = ThreadLink(self._runner(stack, [entry]), bus.timeout_s, self.stop.check)
                stack.callback(link.stop)
                with thread_affinity(f"component {entry.name}", entry.affinity):
                    link.start()
                yield link
            elif entry.isolation is Isolation.ISOLATED:
                pool = pools.get_executor(pool_of(pools.context, entry.component.component_type))
                yield PoolLink(self._runner(stack, [entry]), pool, bus.timeout_s, self.stop.check)
        shared = plan.at(Isolation.SHARED)
        if shared:
            yield MainThreadLink(self._runner(stack, shared))

    def _runner(self, stack: contextlib.ExitStack, entries: list[Entry]) -> Runner:
        runner = Runner([Member(entry.source_id, entry.component) for entry in entries], self.plan.context)
        stack.callback(runner.stop)
        runner.initialize()
        return runner

    def _open_hub(self, stack: contextlib.ExitStack, remote: list[Entry], result: RunResult) -> Hub:
        bus = self.plan.topology.bus
        address = bus.endpoint
        if address == "ipc":
            # Not in the run folder: a socket's path is limited to 107 bytes, and a run folder may lie deep.
            folder = _socket_folder()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            address = f"ipc://{folder}"
        group = ProcessGroup(self.folder.processes)
        specs = [_endpoint(entry) for entry in remote]
        hub = Hub(specs, address, lambda: self._watch(group), bus.timeout_s)
        stack.callback(hub.close)
        stack.callback(_stop_processes, hub, group, bus.stop_timeout_s)
        addresses = hub.bind()
        for entry, spec in zip(remote, specs, strict=True):
            group.start(entry, spec.token, self.plan.context, addresses)
        result.processes += [{"pid": p.pid, "components": [p.entry.name], "role": "component"} for p in group.processes]
        self.folder.update(processes=result.processes)
        hub.handshake(bus.start_timeout_s)
        return hub

    def _watch(self, group: ProcessGroup) -> None:
        group.check()
        self.stop.check()


def _socket_folder() -> str:
    """A folder that only this user may enter, with a path short enough for a socket's."""
    folder = tempfile.mkdtemp(prefix="admf-")
    if len(folder) > _SOCKET_PATH_BYTES - len("/out"):
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="admf-", dir="/tmp")
    return folder


def _stop_processes(hub: Hub, group: ProcessGroup, timeout_s: float) -> None:
    hub.stop()
    group.stop(timeout_s)


def _pools(plan: Plan) -> ThreadPoolManager:
    """The run's pools; those of a MIXED run where components are isolated by hand though its model has no threads."""
    context = plan.execution
    if pool_names(context) in ((), (OPTIMIZATION,)):
        context = ExecutionContext(context.name, context.execution_mode, ThreadModel.MIXED)
    return ThreadPoolManager(context, plan.topology.execution.thread_pools.by_name())


def _make_log(plan: Plan, folder: RunFolder) -> Log | None:
    capture = plan.topology.bus.capture
    if capture == "full":
        return LogWriter(folder.log)
    return DigestLog() if capture == "digest" else None


def _endpoint(entry: Entry) -> EndpointSpec:
    component = entry.component
    takes = frozenset(TYPE_IDS[message_type] for message_type in component.handlers())
    emits = emitted_types(component)
    return EndpointSpec(
        name=entry.name,
        source_ids=frozenset({entry.source_id}),
        takes=takes,
        quiet=frozenset() if emits else takes,
        sources=frozenset({entry.source_id} if component.component_type == "data_handler" else ()),
        token=secrets.token_hex(16),
    )


def _run_started(plan: Plan) -> RunStarted:
    return RunStarted(plan.behaviour(), plan.behaviour_hash(), plan.wiring.schema_hash(), __version__)


def _counts(bus: Bus) -> dict[str, int]:
    return {MESSAGE_TYPES[type_id].__name__: count for type_id, count in sorted(bus.counts.items())}


def _record_failure(error: BaseException, bus: LocalBus | WaveBus | None, result: RunResult) -> None:
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
    if not isinstance(error, StopNow | LogError):
        # A run that was broken off may have stopped between a record and its place in the log: nothing is added.
        message: ComponentFailed | Halt = Halt(result.error)
        if isinstance(error, ComponentError):
            message = ComponentFailed(error.component, error.error, error.traceback)
        bus.fail(message)
    result.counts = _counts(bus)


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
