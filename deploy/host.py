"""A process that hosts one component: `python -m deploy.host NAME`, started by the launcher, never by hand.

What it is to run comes as one line of JSON on standard input, which then stays open: its end means that the launcher
is gone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from bus.edges import EdgeRunner
from bus.endpoint import Endpoint, HubGone
from bus.errors import EXIT_DONE, EXIT_FAILED, AdmfError
from bus.runtime.garbage import collected_rarely, never_collect_what_is_there
from bus.runtime.locks import make_lock
from bus.runtime.means import Means, SlowHandler
from bus.runtime.modes import ThreadModel
from bus.runtime.pools import ThreadPoolManager
from bus.runtime.runner import Member, Runner
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from deploy.catalog import component_class, look_up_beside
from deploy.host_settings import HostSettings, executor_of


def main() -> int:
    """Serve the component until the hub says stop."""
    parser = argparse.ArgumentParser(prog="deploy.host", description=__doc__)
    parser.add_argument("name", help="the component's name; what it is comes on standard input")
    parser.parse_args()
    line = sys.stdin.buffer.readline()
    if not line:
        return EXIT_FAILED
    # The launcher stops us; a Ctrl-C in its terminal is for the launcher alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(json.loads(line))
    except HubGone:
        return EXIT_FAILED
    except AdmfError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return EXIT_DONE


def serve(orders: dict[str, Any]) -> None:
    """Make the component, join the run, serve, stop.

    Raises:
        AdmfError: the component failed; the hub knows it already.
    """
    context = RunContext.model_validate(orders["context"])
    settings = HostSettings.model_validate(orders["settings"])
    if orders["affinity"]:
        os.sched_setaffinity(0, orders["affinity"])
    look_up_beside(Path(context.base_dir))
    with settings.execution, settings.pools() as pools:
        _serve(orders, context, _means(orders, settings, pools))


def _means(orders: dict[str, Any], settings: HostSettings, pools: ThreadPoolManager) -> Means:
    file = Path(orders["slow_handlers"])

    def on_slow(slow: SlowHandler) -> None:
        # To a file: the socket belongs to the thread that is held.
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(dataclasses.asdict(slow)) + "\n")
        sys.stderr.write(f"{slow}\n")

    return Means(
        timeout_s=settings.timeout_s,
        slow_handler_s=settings.slow_handler_s,
        pool=executor_of(pools),
        check=pools.check,
        on_slow=on_slow,
    )


def _serve(orders: dict[str, Any], context: RunContext, means: Means) -> None:
    component = component_class(orders["class"])(orders["component"], orders["parameters"])
    component.lock = make_lock(orders["lock"])
    member = Member(orders["source_id"], component, _service(orders["service"]))
    runner = (EdgeRunner if context.is_live else Runner)([member], context, means)
    endpoint = Endpoint(
        name=orders["name"],
        token=orders["token"],
        router=orders["router"],
        xpub=orders["xpub"],
        runner=runner,
        parent=sys.stdin.fileno(),
    )
    if isinstance(runner, EdgeRunner):
        runner.connect(endpoint.publisher.offer, endpoint.publisher.inbox.fail)
    never_collect_what_is_there()
    try:
        with collected_rarely():
            endpoint.run()
    finally:
        runner.stop()


def _service(content: dict[str, Any]) -> Service:
    handlers = {name: ThreadModel(model) for name, model in content["handlers"].items()}
    return Service(ThreadModel(content["model"]), handlers, content["replica"], content["replicas"])


if __name__ == "__main__":
    sys.exit(main())
