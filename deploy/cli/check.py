"""`admf check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from bus.runtime.modes import Isolation
from bus.runtime.runner import emitted_types
from deploy.cli.options import as_placement, topology_options
from deploy.plan import Entry, Plan, make_plan
from schemas import Message

WIDTH_WHEN_PIPED = 240


@click.command("check")
@topology_options
def command(config: Path, settings: tuple[str, ...], placement: str | None) -> None:
    """Validate CONFIG completely and print its plan: hosts, threads, components, who publishes what to whom.

    Nothing is started. All faults are reported at once, with exit code 2.
    """
    plan = make_plan(config, settings, as_placement(placement))
    # Piped, rich would cut lines at 80 columns; a plan must be whole wherever it goes.
    width = None if sys.stdout.isatty() else WIDTH_WHEN_PIPED
    Console(width=width, highlight=False).print(plan_tree(plan))


def plan_tree(plan: Plan) -> Tree:
    """The plan as a tree."""
    tree = Tree(
        f"[bold]{escape(plan.topology.system.name)}[/]  {escape(str(plan.path))}  mode {plan.mode}, "
        f"thread model {plan.thread_model}, placement {plan.placement}, capture {plan.topology.bus.capture}"
    )
    for host, threads in hosts(plan):
        branch = tree.add(f"[bold]{host}[/]")
        for thread, entries in threads:
            leaf = branch.add(thread)
            for entry in entries:
                _add_component(leaf, entry, plan)
    return tree


def hosts(plan: Plan) -> Iterator[tuple[str, list[tuple[str, list[Entry]]]]]:
    """Each process with its threads, each with its components."""
    main = [("main thread: hub (sequencer, log)", plan.at(Isolation.SHARED))]
    main += [(f"thread {e.name}", [e]) for e in plan.at(Isolation.THREAD_ISOLATED)]
    main += [(f"thread pool, inbox {e.name}", [e]) for e in plan.at(Isolation.ISOLATED)]
    yield "process of the launcher", main
    for entry in plan.at(Isolation.PROCESS_ISOLATED):
        affinity = f", CPU {', '.join(map(str, entry.affinity))}" if entry.affinity else ""
        for one in entry.replicas():
            yield f"process {one.name} (ZeroMQ, {plan.topology.bus.endpoint}{affinity})", [("main thread", [one])]


def _add_component(leaf: Tree, entry: Entry, plan: Plan) -> None:
    component = entry.component
    node = leaf.add(
        f"[bold]{escape(entry.name)}[/]  {escape(entry.class_name)} "
        f"({component.component_type}, {entry.thread_model}, {'no lock' if entry.lock == 'none' else entry.lock})"
    )
    for message_type in sorted(emitted_types(component), key=lambda t: t.__name__):
        receivers = [e.name for e in plan.entries if message_type in e.component.handlers()]
        node.add(f"{message_type.__name__} -> {', '.join(receivers) or 'log only'}")
    node.add(f"takes {', '.join(sorted(_names(component.handlers()))) or 'nothing'}", style="dim")


def _names(types: Iterable[type[Message]]) -> list[str]:
    return [message_type.__name__ for message_type in types]
