"""`eraflow upload`: a run's ensemble sent as a model that Numerai runs itself; and the model before it, restored."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.errors import SettingsError
from flows.command.starting.runoptions import HOME_HELP
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, tell

if TYPE_CHECKING:
    from eraflow.settings.run import RunSettings

MAY_CHANGE = ("gate.", "submit.", "source.", "sandbox.", "data.version", "alert.")


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "upload",
        help="send a run's ensemble as a model that Numerai runs itself, or restore the one before",
        description="Export the ensemble of a run that the gate has passed, rehearse exactly these bytes, upload them, "
        "wait until Numerai has validated them, let the slot run them, trigger this round, and show each state. Run "
        "again after whatever broke it: nothing is uploaded twice. The run's own folder stays as it is; what was "
        "uploaded is kept in the home. Exit code 3: the gate has blocked this run.",
    )
    verb.add_argument(
        "--run-dir",
        metavar="DIR",
        help="upload the ensemble of this run; with one of the next three, take its settings",
    )
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--restore", action="store_true", help="let the slot run the model that it ran before this one")
    what.add_argument("--list", action="store_true", help="the models of the slot that are kept")
    what.add_argument("--unassign", action="store_true", help="let the slot run no model: it then takes predictions")
    verb.add_argument("--profile", default=None, metavar="NAME", help="without --run-dir: the profile of the settings")
    verb.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the slot, the gate or the source, for example submit.model=NAME or submit.python=3.12",
    )
    verb.add_argument("--home", metavar="DIR", help=HOME_HELP)
    verb.add_argument("--dry-run", action="store_true", help="export and rehearse; nothing is sent")
    add_json(verb)
    verb.set_defaults(verb=upload)


def upload(arguments: argparse.Namespace) -> int:
    """Upload, restore, list or unassign; returns the exit code."""
    from flows.command.prefectserver.environment import prepare
    from flows.command.verbs.submit import log_to_stderr, server_for_keys

    settings = _settings(arguments)
    log_to_stderr()
    prepare(settings.home_path)  # before anything imports Prefect
    from tasks.run import Run
    from tasks.uploadbyhand import listed, restored, unassigned, uploaded_run

    run = Run(settings, Path(str(settings.run_dir or settings.home_path)))
    with server_for_keys(settings):
        if arguments.restore or arguments.unassign or arguments.list:
            record = (restored if arguments.restore else unassigned if arguments.unassign else listed)(run)
        else:
            record = uploaded_run(run, tell)
    if arguments.json:
        print_record(record)
    else:
        from flows.command.terminal.printing import show

        show(_parts(record))
    return 0


def _settings(arguments: argparse.Namespace) -> RunSettings:
    """Those of the run, or of a profile, with what is named changed."""
    from eraflow.runs.continuation import stored_settings
    from eraflow.settings.override import settings_from, settings_on

    if not (arguments.run_dir or arguments.restore or arguments.list or arguments.unassign):
        raise SettingsError(
            "upload needs a run", "name its folder with --run-dir, or say --restore, --list or --unassign"
        )
    for assignment in arguments.set:
        key = assignment.partition("=")[0].strip()
        if not key.startswith(MAY_CHANGE):
            raise SettingsError(
                f"{key[:80]} has no part in uploading a model",
                "`eraflow upload` takes gate.*, submit.*, source.*, alert.*",
            )
    given: dict[str, Any] = {"submit": {"as": "pickle", "dry_run": arguments.dry_run}}
    if arguments.home:
        given["home"] = arguments.home
    if not arguments.run_dir:
        return settings_from(arguments.profile or "laptop", given, arguments.set).at_home()
    run_dir = Path(arguments.run_dir).expanduser().resolve()
    stored = stored_settings(run_dir)
    if stored is None:
        raise SettingsError(f"--run-dir: {run_dir} holds no run", "name the folder of a run that the gate has passed")
    return settings_on(stored, {**given, "run_dir": str(run_dir)}, arguments.set).at_home()


def _parts(record: dict[str, Any]) -> list[Any]:
    from flows.command.terminal.printing import listed, places, table, words

    if "models" in record:
        rows = [
            ("*" if one["active"] else "", one["name"], f"{one['bytes'] / 2**20:.1f}", one["python"], one["delivered"])
            for one in record["models"]
        ]
        head = f"Models of slot {record['slot']} that are kept; * is the one that it runs."
        return [words(head, "bold"), table(("", "model", "MiB", "Python", "delivered, UTC"), rows)]
    parts: list[Any] = [words(record["told"], "bold")]
    if record.get("checks"):
        parts.append(listed([(check["name"], check["text"]) for check in record["checks"]]))
    return [*parts, places([(name, str(value)) for name, value in record["where"].items() if value])]
