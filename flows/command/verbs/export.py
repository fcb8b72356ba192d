"""`eraflow export`: the ensemble of a run as one pickled function, as Numerai takes an uploaded model."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say, tell

OURS = ".".join(platform.python_version_tuple()[:2])


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "export",
        help="write a run's ensemble as one function that Numerai can run",
        description="Write predict(live_features, live_benchmark_models) as a pickle: the ensemble of a run with its "
        "blend and neutralisation, without torch and without this project. It is put together by the Python it is for, "
        "with the libraries of Numerai's image, which are installed once (about a minute, 1.9 GB). Beside it lies "
        "FILE.reference, what each part says of known rows: `eraflow rehearse FILE` compares. Nothing is sent.",
    )
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--run-dir", metavar="DIR", help="the ensemble of this run")
    source.add_argument("--ensemble", metavar="DIR", help="this ensemble: the blend/ensemble of a run")
    verb.add_argument("--out", metavar="FILE", required=True, help="the pickle to write, for example model.pkl")
    verb.add_argument(
        "--python", metavar="X.Y", default=OURS, help=f"Python of the image that will run it (default {OURS})"
    )
    verb.add_argument("--home", metavar="DIR", help="home folder, where the libraries are kept")
    add_json(verb)
    verb.set_defaults(verb=export)


def export(arguments: argparse.Namespace) -> int:
    """Write the pickle and its reference; returns the exit code."""
    from eraflow.disk.home import home_folder
    from eraflow.runs.conclusion import check_outside_of_concluded
    from models.delivery.exported import exported

    folder, out, home = _ensemble(arguments), Path(arguments.out), home_folder(arguments.home)
    check_outside_of_concluded(out)
    record = exported(folder, out, arguments.python, home, tell)
    if arguments.json:
        print_record(record)
    else:
        say(_words(record))
    return 0


def _ensemble(arguments: argparse.Namespace) -> Path:
    from eraflow.runs.stage import require
    from models.ensembles.ensemble import ENSEMBLE_FILE

    if arguments.ensemble:
        if not (Path(arguments.ensemble) / ENSEMBLE_FILE).is_file():
            raise SettingsError(
                f"--ensemble: {arguments.ensemble} holds no {ENSEMBLE_FILE}", "name the blend/ensemble of a run"
            )
        return Path(arguments.ensemble)
    if not (Path(arguments.run_dir) / "blend").is_dir():
        raise SettingsError(
            f"--run-dir: {arguments.run_dir} holds no blend", "name the folder of a run that has come so far"
        )
    return require(Path(arguments.run_dir) / "blend").path / "ensemble"


def _words(record: dict[str, Any]) -> str:
    from eraflow.rehearsal.confinedrun import Room
    from eraflow.rehearsal.whatfits import dropping_in_words, fewest_to_drop, members_in_words

    expected = record["estimate"]
    dropped = fewest_to_drop(expected, Room())
    warned = "\n".join([*members_in_words(expected), dropping_in_words(dropped)]) + "\n" if dropped else ""
    return warned + (
        f"{record['file']}: {', '.join(record['members'])} for Python {record['python']}, "
        f"{record['bytes'] / 2**20:.1f} MiB\n"
        f"expected for a live era: {expected['cpu_seconds']:g} CPU seconds, {expected['memory_mb']:g} MiB\n"
        f"next: eraflow rehearse {record['file']} --python {record['python']}"
    )
