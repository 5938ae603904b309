"""A process that hosts one component: `python -m deploy.host NAME`, started by the launcher, never by hand.

What it is to run comes as one line of JSON on standard input, which then stays open: its end means that the launcher
is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from bus.endpoint import Endpoint, HubGone
from bus.errors import EXIT_DONE, EXIT_FAILED, AdmfError
from bus.runtime.runner import Member, Runner
from bus.runtime.settings import RunContext
from deploy.catalog import component_class, look_up_beside


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
    if orders["affinity"]:
        os.sched_setaffinity(0, orders["affinity"])
    look_up_beside(Path(context.base_dir))
    component = component_class(orders["class"])(orders["name"], orders["parameters"])
    runner = Runner([Member(orders["source_id"], component)], context)
    endpoint = Endpoint(
        name=orders["name"],
        token=orders["token"],
        router=orders["router"],
        xpub=orders["xpub"],
        runner=runner,
        parent=sys.stdin.fileno(),
    )
    try:
        endpoint.run()
    finally:
        runner.stop()


if __name__ == "__main__":
    sys.exit(main())
