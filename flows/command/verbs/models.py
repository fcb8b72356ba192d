"""`eraflow models`: the registered ensembles, and what a person decides about them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say

if TYPE_CHECKING:
    from eraflow.settings.tracking import TrackingSettings
    from eraflow.tracking.tracking import Tracker
    from eraflow.tracking.versions import Listed

MAY_SET = ("tracking.uri", "tracking.artifacts", "tracking.experiment", "tracking.registered_model")
WEIGHTS = 8
"""Signs of a hash that are shown; --json tells all."""


def add(verbs: Any) -> None:
    """The arguments of the verb, and of what it can do."""
    verb = verbs.add_parser(
        "models",
        help="the registered ensembles: list, promote, roll back",
        description="List the ensembles in the registry, the newest first, with what each is now: the champion or the "
        "challenger of its slot. `promote` and `rollback` decide by hand who the champion is, which `eraflow daily` "
        "sends; files that differ from what was registered are refused. Who decided, when and why stays in the "
        "registry.",
    )
    _add_options(verb, default=None)
    verb.set_defaults(verb=models, act=_list)
    acts = verb.add_subparsers(title="actions", metavar="ACTION")
    promote = _action(acts, "promote", _promote, "make a version the champion of its slot")
    promote.add_argument("version", metavar="VERSION", type=int, help="its number, as `eraflow models` lists it")
    rollback = _action(acts, "rollback", _rollback, "make the version champion that was it before")
    rollback.add_argument(
        "version", metavar="VERSION", type=int, nargs="?", help="the champion to take back, where there are several"
    )
    challenger = _action(acts, "challenger", _challenger, "make a version the challenger; the champion stays")
    challenger.add_argument("version", metavar="VERSION", type=int, help="its number")
    recipe = _action(acts, "recipe", _recipe, "choose which recipe a slot ships from the next week on")
    recipe.add_argument("name", metavar="NAME", help="`main`, or the ensemble of the settings that challenges it")
    recipe.add_argument("--slot", metavar="NAME", help="the slot, where champions of several are registered")
    for one in (promote, rollback, challenger, recipe):
        one.add_argument("--why", metavar="TEXT", default="", help="a reason, which is kept with the decision")
    register = _action(acts, "register", _register, "register later what a run could not register")
    register.add_argument("run_dir", metavar="RUN_DIR", help="folder of a run that has ended")


def _action(acts: Any, name: str, act: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = acts.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    _add_options(parser, default=argparse.SUPPRESS)
    parser.set_defaults(act=act)
    return parser


def _add_options(parser: argparse.ArgumentParser, default: Any) -> None:
    """Options that stand before or after the action."""
    parser.add_argument("--home", metavar="DIR", default=default, help="home folder (default: the one of this user)")
    parser.add_argument(
        "--sandbox",
        action="store_true",
        default=default or False,
        help="what sandboxes shipped; also meant where nothing else is registered",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=default,
        help="another registry, for example tracking.uri=http://127.0.0.1:5000",
    )
    if default is argparse.SUPPRESS:
        parser.add_argument("--json", action="store_true", default=default, help="print one JSON record")
    else:
        add_json(parser)


def models(arguments: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    return int(arguments.act(arguments))


def _list(arguments: argparse.Namespace) -> int:
    from eraflow.tracking.versions import listed

    tracker = _tracker(arguments)
    rows = listed(tracker)
    if arguments.json:
        name = tracker.settings.registered_model
        print_record({"registered_model": name, "versions": [row.as_dict() for row in rows]})
    elif rows:
        _show(tracker, rows)
    else:
        say(f"No ensemble is registered in {tracker.home} yet: a week that is submitted registers its own.")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from eraflow.tracking.versions import promote

    row = promote(_tracker(arguments), arguments.version, arguments.why)
    return _tell(arguments, row, "promoted", f"Version {row.version} is now the champion of {row.seat or 'all slots'}.")


def _rollback(arguments: argparse.Namespace) -> int:
    from eraflow.tracking.versions import roll_back

    row = roll_back(_tracker(arguments), arguments.version, arguments.why)
    text = f"Rolled back: version {row.version} is the champion of {row.seat or 'all slots'} again."
    return _tell(arguments, row, "rolled back", text)


def _challenger(arguments: argparse.Namespace) -> int:
    from eraflow.tracking.versions import name_challenger

    row = name_challenger(_tracker(arguments), arguments.version, arguments.why)
    text = f"Version {row.version} is now the challenger of {row.seat or 'all slots'}; the champion stays."
    return _tell(arguments, row, "challenger", text)


def _recipe(arguments: argparse.Namespace) -> int:
    from eraflow.tracking.seatrecipe import choose_recipe

    seat = choose_recipe(_tracker(arguments), arguments.name, arguments.slot, arguments.why)
    if arguments.json:
        print_record({"outcome": "recipe", "recipe": arguments.name, "slot": seat.slot_name or seat.slot})
    else:
        say(f"From the next week on {seat} ships the recipe {arguments.name}.")
    return 0


def _register(arguments: argparse.Namespace) -> int:
    from eraflow.disk.home import home_folder
    from flows.command.prefectserver.environment import prepare
    from flows.command.verbs.submit import log_to_stderr

    run_dir = Path(arguments.run_dir).expanduser().resolve()
    prepare(home_folder(arguments.home))  # before anything imports Prefect
    log_to_stderr()
    from tasks.registerlater import register_later

    version, is_champion = register_later(run_dir)
    outcome = "the champion" if is_champion else "registered, and not the champion"
    if arguments.json:
        print_record({"outcome": "registered", "version": version, "champion": is_champion, "run_dir": str(run_dir)})
    else:
        say(f"Version {version} is {outcome}.")
    return 0


def _tell(arguments: argparse.Namespace, row: Listed, outcome: str, text: str) -> int:
    if arguments.json:
        print_record({"outcome": outcome, **row.as_dict()})
    else:
        say(text)
    return 0


def _tracker(arguments: argparse.Namespace) -> Tracker:
    """The registry that is meant: what was shipped for real, and where there is nothing of that, what sandboxes did."""
    from eraflow.disk.home import home_folder
    from eraflow.tracking.tracking import Tracker
    from eraflow.tracking.versions import listed

    home, settings = home_folder(arguments.home), _settings(arguments.set or [])
    sandbox = settings.model_copy(update={"registered_model": f"{settings.registered_model}-sandbox"})
    if arguments.sandbox:
        return Tracker(home, sandbox)
    tracker = Tracker(home, settings)
    other = Tracker(home, sandbox)
    return other if not listed(tracker) and listed(other) else tracker


def _settings(assignments: Sequence[str]) -> TrackingSettings:
    from eraflow.settings.override import settings_on
    from eraflow.settings.run import RunSettings

    for assignment in assignments:
        if assignment.partition("=")[0].strip() not in MAY_SET:
            raise SettingsError(
                f"{assignment[:80]} has no part in the registry", f"`eraflow models` takes {', '.join(MAY_SET)}"
            )
    return settings_on(RunSettings(), {}, assignments).tracking


def _show(tracker: Tracker, rows: Sequence[Listed]) -> None:
    from flows.command.terminal.printing import show, table, words

    head = ("version", "registered", "weights", "verdict", "payout", "is now")
    figures = [
        (
            str(row.version),
            row.registered_at[:16].replace("T", " "),
            row.weights[:WEIGHTS] or "-",
            row.verdict or "-",
            "-" if row.payout is None else f"{row.payout:+.4f}",
            ", ".join(row.aliases) or "-",
        )
        for row in rows
    ]
    show(
        [
            words(f"{tracker.settings.registered_model}, the newest first (times are UTC)", "bold"),
            table(head, figures),
            *(words(_about(row)) for row in rows),
        ]
    )


def _about(row: Listed) -> str:
    """A paragraph a version: its run, what it is for, and what was decided about it."""
    told = f"version {row.version}: {row.name or 'an unknown run'}, for {row.seat or 'any slot'}"
    last = row.decisions[-1] if row.decisions else None
    if last is None:
        return told
    why = f", because: {last.why}" if last.why else ""
    return f"{told}; {last.what} {last.at[:16].replace('T', ' ')} by {last.by}{why}"
