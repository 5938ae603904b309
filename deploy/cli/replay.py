"""`admf replay`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from bus.errors import EXIT_INTERRUPTED, LogError
from bus.log_reader import LogReader
from bus.replay import Kind
from bus.runtime.modes import ThreadModel
from deploy.cli.consequences import print_consequences
from deploy.cli.launch import leave, standard_output_to_error
from deploy.cli.log import as_json_text, line_of, require_known
from deploy.cli.options import as_placement
from deploy.cli.playback import keyboard, make_player, playback_options, wants_playback
from deploy.launcher import launch
from deploy.plan import Placement
from deploy.replay.capture import Capture, open_capture
from deploy.replay.consequences import compare_outcomes, outcome_of
from deploy.replay.counterfactual import plan_counterfactual, recorded_data, replaced
from deploy.replay.golden import keep_as_story
from deploy.replay.planning import plan_replay
from deploy.replay.playback import EndReached, PlaybackStopped, Player
from deploy.replay.reexecution import Divergence, ReplayResult, reexecute
from deploy.stopping import StopRequest

_PATH = click.Path(path_type=Path)
_WHAT = {
    Kind.DIFFERENT: "published something else than the log holds",
    Kind.MISSING: "did not publish what the log holds",
    Kind.ADDITIONAL: "published what the log does not hold",
    Kind.FAILED: "failed where the log holds no failure",
}


@click.command("replay")
@click.argument("log", type=_PATH)
@click.option(
    "--component", "components", multiple=True, metavar="NAME", help="Re-execute only this component. Repeatable."
)
@click.option("--placement", type=click.Choice([p.value for p in Placement]), help="Where the components run.")
@click.option("--thread-model", type=click.Choice([m.value for m in ThreadModel]), help="Of mode REPLAY.")
@click.option("--with", "config", type=_PATH, metavar="CONFIG", help="What if: replace the components in CONFIG.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="What if: replace a value. Repeatable.")
@click.option("--run-dir", type=_PATH, help="What if: where its run folder is made.")
@click.option("--all", "all_orders", is_flag=True, help="What if: show every order that came out otherwise.")
@click.option("--to-golden", type=_PATH, metavar="FOLDER", help="Keep LOG as a regression test of --component.")
@playback_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; when playing, one a line.")
def command(log: Path, as_json: bool, **options: Any) -> None:
    """Run the captured run LOG again and compare every output with the record.

    LOG is a run folder, a log folder, or one segment file. What came from outside (market data, a live broker) is taken
    from the log, everything else is re-executed from the configuration that travels with it. Exit code 3 at the first
    difference, which is shown with both messages and their causes.

    With --with or --set a part is replaced, the recorded market data go through the changed topology, and the
    consequences are reported order by order and in P&L; the new run has a run folder of its own.

    With any option of playing, records are printed at the pace of their times. In a terminal space pauses and resumes,
    s or the right arrow steps, + and - change the speed, q quits. Components are fed and compared only if named by
    --component (all: every one).
    """
    capture = open_capture(log)
    what_if = options["config"] is not None or options["settings"]
    if what_if and (options["components"] or options["thread_model"]):
        raise click.UsageError("--component and --thread-model do not go with --with and --set")
    if not what_if and (options["run_dir"] is not None or options["all_orders"]):
        raise click.UsageError("--run-dir and --all go with --with and --set")
    playing = wants_playback(options)
    if playing and what_if:
        raise click.UsageError("a log is played as it is: --with and --set do not go with the options of playing")
    if options["to_golden"] is not None:
        if playing or what_if:
            raise click.UsageError("--to-golden keeps a log as it is: it goes with --component only")
        story = keep_as_story(capture, options["components"], options["to_golden"])
        click.echo(f"Kept in {story.folder}, for pytest tests/golden/test_stories.py", err=as_json)
    act = _what_if if what_if else _play if playing else _compare
    leave(act(capture, as_json, **options))


def _compare(
    capture: Capture,
    as_json: bool,
    components: tuple[str, ...],
    placement: str | None,
    thread_model: str | None,
    **_: Any,
) -> int:
    model = None if thread_model is None else ThreadModel(thread_model)
    plan = plan_replay(capture, components, as_placement(placement), model)
    stop = StopRequest()
    with stop.listening(), standard_output_to_error():
        result = reexecute(capture, plan, stop.check)
    if as_json:
        click.echo(as_json_text(result.document()))
    else:
        _print(result)
    return result.exit_code


def _play(capture: Capture, as_json: bool, **options: Any) -> int:
    # A reader that leaves (`| head`) ends us quietly; only what plays to itself has nothing to stop.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL if not options["components"] else signal.SIG_IGN)
    wants_keys = options["step"] or options["start_paused"] or bool(options["pause_at"])
    with keyboard(wants_keys) as keys:
        player = make_player(keys, options, as_json)
        try:
            while True:
                exit_code = _play_to_the_end(capture, player, as_json, **options)
                if not options["loop"] or exit_code or not player.played:
                    return exit_code
        except PlaybackStopped as stopped:
            player.say(str(stopped))
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except EOFError:
            raise LogError(
                "the playback is paused and no key can come: standard input has ended or is not there"
            ) from None
    return 0


def _play_to_the_end(capture: Capture, player: Player, as_json: bool, **options: Any) -> int:
    try:
        return _play_once(capture, player, as_json, **options)
    except EndReached as reached:
        player.say(str(reached))
        return 0


def _play_once(
    capture: Capture,
    player: Player,
    as_json: bool,
    components: tuple[str, ...],
    placement: str | None,
    thread_model: str | None,
    **_: Any,
) -> int:
    if not components:
        for _records in player.play(LogReader(capture.path)):
            pass
        if not player.played:
            require_known(capture.path, capture, player.wanted)
            player.say("no record of the log passes --from, --to, --types and --sources")
        return 0
    model = None if thread_model is None else ThreadModel(thread_model)
    plan = plan_replay(capture, components, as_placement(placement), model)
    result = reexecute(capture, plan, lambda: None, player.play)
    if as_json:
        click.echo(as_json_text(result.document()))
    else:
        _print(result)
    return result.exit_code


def _what_if(
    capture: Capture,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
    run_dir: Path | None,
    placement: str | None,
    all_orders: bool,
    **_: Any,
) -> int:
    plan = plan_counterfactual(capture, config, settings, run_dir, as_placement(placement))
    with standard_output_to_error():
        result = launch(plan, None, StopRequest(), recorded_data(capture))
    if result.error:
        click.echo(f"{result.status.capitalize()}: {result.error}\nRun folder: {result.run_dir}", err=True)
        return result.exit_code
    consequences = compare_outcomes(outcome_of(capture.path), outcome_of(Path(result.run_dir)))
    changed = replaced(capture, plan)
    if as_json:
        click.echo(as_json_text({"replaced": changed, **consequences.document()}))
    else:
        print_consequences(consequences, changed, all_orders)
    return 0


def _print(result: ReplayResult) -> None:
    click.echo(f"Re-executed   {', '.join(result.executed)} ({result.placement})")
    if result.taken:
        click.echo(f"From the log  {', '.join(result.taken)}")
    rate = f", {result.records / result.cpu_s:,.0f} records/s" if result.cpu_s else ""
    click.echo(f"Records       {result.records:,} read, {result.compared:,} outputs compared")
    click.echo(f"Time          {result.elapsed_s:.2f} s ({result.cpu_s:.2f} s CPU here{rate})")
    for note in result.notes:
        click.echo(f"Note          {note}")
    if result.divergence is not None:
        _print_divergence(result.divergence)
    else:
        click.echo(f"Digest        {result.digest}")
        click.echo("Equal: every output is as recorded, byte for byte and in its place")


def _print_divergence(divergence: Divergence) -> None:
    click.echo(f"DIVERGENCE at seq {divergence.seq}: {divergence.component} {_WHAT[divergence.kind]}")
    if divergence.error:
        click.echo(f"  it raised     {divergence.error}")
    click.echo(f"  recorded      {_shown(divergence.recorded)}")
    click.echo(f"  re-executed   {_shown(divergence.executed)}")
    one, two = divergence.recorded, divergence.executed
    if one is not None and two is not None:
        for name in divergence.differing:
            of = (one, two) if name == "type" else (one["message"], two["message"])
            click.echo(f"    {name}: {of[0].get(name)} in the log, {of[1].get(name)} now")
    click.echo("  caused by")
    for described in divergence.causes:
        click.echo(f"    {line_of(described)}")


def _shown(described: dict[str, Any] | None) -> str:
    return "nothing" if described is None else line_of(described).lstrip()
