"""How the components of a plan are served: thread model, isolation and lock of each, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bus.runtime.component import Component
from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import LockStrategy, ThreadIsolationGuidelines, ThreadSynchronizationGuidelines
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from bus.runtime.service import LOOP_MODELS, PER_HANDLER, Service, async_handlers, is_async
from deploy.topology import ComponentSection, did_you_mean
from schemas.registry import fields

DEFAULT_PARTITIONS = 2

_ONE_THREAD_IS_ENOUGH = frozenset({ThreadModel.SINGLE_THREADED, ThreadModel.ASYNC_SINGLE, ThreadModel.MIXED})
_PARALLEL = ThreadModel.PROCESS_PARALLEL
_SEVERAL_THREADS = frozenset({ThreadModel.MULTI_THREADED, ThreadModel.ASYNC_MULTI, ThreadModel.MIXED})


@dataclass(frozen=True)
class Serving:
    """What was decided for one component."""

    isolation: Isolation
    service: Service
    lock: LockStrategy


def serving_of(
    component: Component, section: ComponentSection, execution: ExecutionContext, forced: Isolation | None
) -> Serving:
    """What the file says, else what follows from the run. `forced` is where the command line puts every component."""
    service = _service(component, section, execution, forced)
    isolation = forced or section.isolation or default_isolation(component, service, execution)
    return Serving(isolation, service, lock_strategy(component, section, service, execution, isolation))


def default_thread_model(component: Component, execution: ExecutionContext) -> ThreadModel:
    """SINGLE_THREADED; for components with `async def` handlers a loop of their own where the run has one for each."""
    if not async_handlers(component):
        return ThreadModel.SINGLE_THREADED
    of_its_own = execution.thread_model is ThreadModel.ASYNC_MULTI
    return ThreadModel.ASYNC_MULTI if of_its_own else ThreadModel.ASYNC_SINGLE


def default_isolation(component: Component, service: Service, execution: ExecutionContext) -> Isolation:
    """The guidelines' level; replicas are processes, and a model that needs a pool is served on one."""
    if service.model is ThreadModel.PROCESS_PARALLEL:
        return Isolation.PROCESS_ISOLATED
    return ThreadIsolationGuidelines.get_isolation_level(execution, component.component_type)


def lock_strategy(
    component: Component,
    section: ComponentSection,
    service: Service,
    execution: ExecutionContext,
    isolation: Isolation,
) -> LockStrategy:
    """The guidelines' lock, or what `thread_safe` says; none where no second thread can come near the component.

    Where its keys are served at once it is one lock for each key, since one for all would undo just that.
    """
    wanted = section.thread_safe
    if wanted is None:
        alone = isolation is Isolation.PROCESS_ISOLATED and service.model not in _SEVERAL_THREADS
        wanted = not alone and ThreadIsolationGuidelines.should_use_locks(execution, component.component_type)
    if not wanted:
        return LockStrategy.NONE
    strategy = ThreadSynchronizationGuidelines.get_lock_strategy(execution, component.component_type)
    if strategy is LockStrategy.NONE:
        strategy = LockStrategy.REENTRANT_LOCK
    by_key = component.partition_by and service.model in (ThreadModel.MULTI_THREADED, ThreadModel.MIXED)
    return LockStrategy.FINE_GRAINED_LOCK if by_key else strategy


def run_faults(execution: ExecutionContext) -> Iterator[str]:
    """Modes and thread models of a run that exclude each other."""
    single = execution.execution_mode is ExecutionMode.BACKTEST_SINGLE
    if single and execution.thread_model not in _ONE_THREAD_IS_ENOUGH:
        yield (
            f"execution.thread_model: {execution.thread_model} needs more than the one thread of BACKTEST_SINGLE, "
            "which takes no locks either; set execution.mode to BACKTEST_PARALLEL, or leave thread_model out"
        )


def serving_faults(component: Component, section: ComponentSection, execution: ExecutionContext) -> list[str]:
    """What a component's entry asks for and cannot have, and what its class declares wrongly."""
    faults = [*_key_faults(component), *_mixed_faults(component, section)]
    model = section.thread_model
    if model is None or model is ThreadModel.SINGLE_THREADED or component.handlers():
        faults += _async_faults(component, section)
    else:
        faults.append(f"thread_model: {component.name} takes no messages, so that {model} has nothing to serve")
    if model is ThreadModel.PROCESS_PARALLEL:
        faults += _replica_faults(component, section, execution)
    elif section.partitions is not None:
        faults.append(f"partitions: only replicas share keys among them; set thread_model: {_PARALLEL}")
    return [f"components.{component.name}.{fault}" for fault in faults]


def _service(
    component: Component, section: ComponentSection, execution: ExecutionContext, forced: Isolation | None
) -> Service:
    model = section.thread_model or default_thread_model(component, execution)
    if model is ThreadModel.PROCESS_PARALLEL and forced not in (None, Isolation.PROCESS_ISOLATED):
        model = default_thread_model(component, execution)
    if forced is Isolation.SHARED and model in _SEVERAL_THREADS:
        # Everything in the main thread, whatever the file says.
        model = ThreadModel.ASYNC_SINGLE if async_handlers(component) else ThreadModel.SINGLE_THREADED
    replicas = (section.partitions or DEFAULT_PARTITIONS) if model is ThreadModel.PROCESS_PARALLEL else 1
    handlers = section.handlers if model is ThreadModel.MIXED else {}
    return Service(model, handlers, replicas=replicas, affinity=section.affinity)


def _key_faults(component: Component) -> Iterator[str]:
    takes = component.handlers()
    name = type(component).__name__
    for message_type, field_name in component.partition_by.items():
        if message_type in takes and field_name not in fields(message_type):
            known = fields(message_type)
            yield (
                f"class: {name}.partition_by names {field_name!r}, which {message_type.__name__} has not"
                f"{did_you_mean(field_name, known) or '.'} Its fields are {', '.join(known)}."
            )


def _async_faults(component: Component, section: ComponentSection) -> Iterator[str]:
    names = async_handlers(component)
    if names and section.thread_model in (ThreadModel.SINGLE_THREADED, ThreadModel.MULTI_THREADED):
        yield (
            f"thread_model: {', '.join(names)} of {type(component).__name__} is async def, which only an event loop "
            f"can serve; choose {' or '.join(sorted(LOOP_MODELS))}, or leave thread_model out"
        )


def _replica_faults(component: Component, section: ComponentSection, execution: ExecutionContext) -> Iterator[str]:
    if not component.partition_by:
        why = component.undivided or "it declares no keys (partition_by)"
        yield f"thread_model: {type(component).__name__} cannot be divided among replicas: {why}"
    if section.isolation not in (None, Isolation.PROCESS_ISOLATED):
        yield f"isolation: replicas are processes; make it {Isolation.PROCESS_ISOLATED}, or leave it out"
    if execution.is_live:
        yield (
            f"thread_model: {_PARALLEL} is for backtests; in live modes each component has one connection to the hub, "
            "by which its messages are numbered"
        )


def _mixed_faults(component: Component, section: ComponentSection) -> Iterator[str]:
    if section.thread_model is not ThreadModel.MIXED:
        if section.handlers:
            yield f"handlers: models of single handlers need thread_model: {ThreadModel.MIXED}"
        return
    if not section.handlers:
        yield "thread_model: MIXED needs the models of the handlers, as handlers: {on_bar: MULTI_THREADED}"
    by_name = {handler.__name__: handler for handler in component.handlers().values()}
    for name, model in section.handlers.items():
        if name not in by_name:
            known = ", ".join(sorted(by_name)) or "none"
            yield f"handlers.{name}: no such handler{did_you_mean(name, by_name) or '.'} There are: {known}."
        elif model not in PER_HANDLER:
            known = ", ".join(sorted(PER_HANDLER))
            yield f"handlers.{name}: {model} is for a whole component; one handler may have {known}"
        elif is_async(by_name[name]) and model not in LOOP_MODELS:
            yield f"handlers.{name}: is async def, which only {' or '.join(sorted(LOOP_MODELS))} can serve, not {model}"
