"""Our engine beside its peers: `make bench-peers`, or `python -m tests.benchmarks.peers.run [PEER...] [--runs N]`.

Every peer has an environment of its own, made on first use in $ADMF_PEERS (default: ~/.cache/admf-peers). One that
cannot be installed is reported so. Prints one JSON object a line as `make bench` does: CPU microseconds a bar of each
engine's run call, runs of all engines in turn, then the ratios that are aimed at.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.compiled import in_a_process
from tests.benchmarks.result import ROOT, Result, alone, machine, median_of, ratio_of, write_down
from tests.benchmarks.workloads import WORKLOADS, us_per_bar

ENVIRONMENTS: Final = Path(os.environ.get("ADMF_PEERS") or "~/.cache/admf-peers").expanduser()
OURS: Final = "admf"
SWEEP: Final = "W5"
SWEEP_BARS: Final = 100_000


@dataclass(frozen=True)
class Peer:
    """What to install, and the workloads that it has. `bars` where the usual number would take too long."""

    requirements: tuple[str, ...]
    workloads: tuple[str, ...]
    event_driven: bool = True
    bars: tuple[tuple[str, int], ...] = ()


PEERS: Final[dict[str, Peer]] = {
    "vnpy": Peer(("vnpy==4.5.0", "vnpy_ctastrategy==1.4.1", "vnpy_sqlite==1.1.3"), ("W4", "W1", "W2", "W3")),
    "backtesting": Peer(("backtesting==0.6.6",), ("W4", "W1", "W2", "W3", "W5")),
    "backtrader": Peer(("backtrader==1.9.78.123", "pandas"), ("W4", "W1", "W2", "W3"), bars=(("W2", 20_000),)),
    # With pandas 3 its wrangler meets read-only arrays. Its cost of an order grows with the run.
    "nautilus": Peer(("nautilus_trader==1.231.0", "pandas<3"), ("W4", "W1", "W2", "W3"), bars=(("W2", 5_000),)),
    "vectorbt": Peer(("vectorbt==1.2.0",), ("W4", "W1", "W2", "W5"), event_driven=False),
}

AIMS: Final = {"W4": 0.6, "W1": 1 / 5, "W2": 1 / 2, "W3": 1 / 8}
"""At most so much of the time of the fastest event-driven peer."""
SWEEP_AIM: Final = 1.0
"""At most so much of vectorbt's time."""
NAUTILUS_AIM: Final = 20.0
"""At least so many times our time is NautilusTrader's."""

Times = dict[str, dict[str, list[float]]]
"""Workload, engine: CPU microseconds a bar, run by run; of the sweep CPU seconds, of several processes wall seconds."""


def environment(name: str) -> Path | None:
    """The interpreter of a peer's environment, made if it is not there; None if it cannot be made."""
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join(PEERS[name].requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *PEERS[name].requirements]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"{name}: {done.stderr}\n")
            return None
    stamp.write_text(wanted)
    return python


def ask(name: str, python: Path, workload: str, bars: int) -> dict[str, Any]:
    """What a peer's module says of one run. What it leaves in its home folder stays in the environments' folder."""
    command = [str(python), "-m", f"tests.benchmarks.peers.in_{name}", workload, str(bars)]
    around = {**os.environ, "HOME": str(ENVIRONMENTS), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} {workload} failed:\n{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def engines(names: list[str], workloads: list[str], bars: int) -> Iterator[tuple[str, str, str, Callable[[], float]]]:
    """Name, workload, note and function of all that is to be measured."""
    pythons = {name: environment(name) for name in names}
    for workload in workloads:
        if workload != SWEEP:
            yield OURS, workload, "", lambda w=workload: alone(us_per_bar, w, bars)
        elif importlib.util.find_spec("numba"):
            yield OURS, workload, "compiled", _compiled
        for name, python in pythons.items():
            if python is None or workload not in PEERS[name].workloads:
                continue
            count = min(bars, dict(PEERS[name].bars).get(workload, bars))
            note = "" if count == bars else f"{count} bars"
            yield name, workload, note, lambda n=name, p=python, w=workload, c=count: _time(n, p, w, c)


def _compiled() -> float:
    """Seconds of our compiled sweep, with its machine code kept where the peers are: compiling is in no figure here."""
    cache = str(ENVIRONMENTS / "numba")
    in_a_process(cache)
    return in_a_process(cache)["cpu_s"]


def _time(name: str, python: Path, workload: str, bars: int) -> float:
    if workload == SWEEP:
        said = ask(name, python, workload, SWEEP_BARS)
        return float(said.get("cpu_s", said["wall_s"]))
    return float(ask(name, python, workload, bars)["cpu_s"] / bars * 1e6)


def measure(names: list[str], workloads: list[str], bars: int, runs: int) -> Iterator[Result]:
    """The time of every engine on every workload, then the ratios."""
    plan = list(engines(names, workloads, bars))
    for name in [name for name in names if environment(name) is None]:
        yield Result(f"{name} cannot be installed", 0, "", note=" ".join(PEERS[name].requirements))
    times: Times = {}
    for workload in workloads:
        here = [one for one in plan if one[1] == workload]
        found = times[workload] = {engine: [] for engine, *_ in here}
        for _ in range(runs):
            for engine, _, _, function in here:
                found[engine].append(function())
        unit = "s" if workload == SWEEP else "us/bar"
        for engine, _, note, _ in here:
            yield median_of(f"{workload}, {engine}", found[engine], unit, note=note)
    if OURS not in times.get(SWEEP, {OURS: []}):
        yield Result(f"{SWEEP}, {OURS} is not measured", 0, "", note="pip install -e '.[fast,optimize]'")
    yield from ratios(times)


def ratios(times: Times) -> Iterator[Result]:
    """Ours to the fastest event-driven peer, and NautilusTrader's to ours."""
    for workload, aim in AIMS.items():
        found = times.get(workload, {})
        peers = {name: min(values) for name, values in found.items() if name in PEERS and PEERS[name].event_driven}
        if peers:
            fastest = min(peers, key=peers.__getitem__)
            name = f"{workload}, {OURS} to {fastest}, the fastest event-driven peer"
            yield ratio_of(name, found[OURS], found[fastest], aim=round(aim, 3))
        if "nautilus" in found:
            name = f"{workload}, nautilus to {OURS}"
            yield ratio_of(name, found["nautilus"], found[OURS], aim=NAUTILUS_AIM, bound="at least")
    found = times.get(SWEEP, {})
    if OURS in found and "vectorbt" in found:
        yield ratio_of(f"{SWEEP}, {OURS} to vectorbt", found[OURS], found["vectorbt"], aim=SWEEP_AIM)


def main() -> None:
    """Measure the peers that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; all when none is given")
    parser.add_argument("--workloads", nargs="+", choices=[*WORKLOADS, SWEEP], default=[*WORKLOADS, SWEEP])
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="add the results to history.jsonl")
    given = parser.parse_args()
    unknown = set(given.peers) - PEERS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    write_down(machine(), measure(given.peers or list(PEERS), given.workloads, given.bars, given.runs), given.record)


if __name__ == "__main__":
    main()
