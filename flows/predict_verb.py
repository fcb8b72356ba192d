"""`eraflow predict`: a submission CSV from a trained ensemble. Nothing is sent."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl

from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from eraflow.settings import MachineSettings, RunSettings
from eraflow.store.digest import file_sha256
from eraflow.store.registry import champion_info, load_champion
from eraflow.store.stage import require
from eraflow.store.tracking import Tracker
from eraflow.tournament.submission import write_submission
from flows.cli import print_record
from models.predict import predict_live


def predict(arguments: argparse.Namespace) -> int:
    """Predict every row of the file and write the CSV."""
    live = _live(arguments)
    with tempfile.TemporaryDirectory(prefix="eraflow-predict-") as scratch:
        ensemble, source = _ensemble(arguments, Path(scratch))
        predict_live(out=scratch, ensemble=str(ensemble), live=str(live), plan=_plan().as_dict())
        frame = pl.read_parquet(Path(scratch) / "predictions.parquet")
    path = write_submission(frame["id"].to_list(), frame["prediction"].to_numpy(), Path(arguments.out))
    if arguments.json:
        print_record({"file": str(path), "rows": frame.height, "sha256": file_sha256(path), "ensemble": source})
    else:
        print(f"{frame.height} predictions in {path}, by {source}")
    return 0


def _live(arguments: argparse.Namespace) -> Path:
    if bool(arguments.live) == bool(arguments.data):
        raise SettingsError("predict needs one file", "name LIVE.parquet, or a folder with --data")
    return Path(arguments.live) if arguments.live else Path(arguments.data) / "live.parquet"


def _plan() -> Plan:
    from eraflow.machine.resources import first_plan, probe

    return first_plan(probe(Path.cwd()), MachineSettings())


def _ensemble(arguments: argparse.Namespace, scratch: Path) -> tuple[Path, str]:
    """The ensemble that is named, else the champion: Numerai's, or where there is none yet the sandbox's; and its name.

    The name is a lasting one: the folder, or the champion's name and version, not the scratch copy that is read.
    """
    for name, given in (("--ensemble", arguments.ensemble), ("--run-dir", arguments.run_dir)):
        if given and not Path(given).is_dir():
            raise SettingsError(f"{name}: there is no folder {given}", "name the folder of a run or of an ensemble")
    if arguments.ensemble:
        return Path(arguments.ensemble), str(arguments.ensemble)
    if arguments.run_dir:
        folder = require(Path(arguments.run_dir) / "blend").path / "ensemble"
        return folder, str(folder)
    settings = RunSettings(home=arguments.home)
    for name in (settings.tracking.registered_model, f"{settings.tracking.registered_model}-sandbox"):
        tracking = settings.tracking.model_copy(update={"registered_model": name})
        tracker = Tracker(settings.home_path, tracking)
        champion, info = load_champion(tracker, scratch / "champion"), champion_info(tracker)
        if champion is not None and info is not None:
            return champion, f"{name} version {info.version}"
    raise SettingsError(
        f"no champion is registered in {settings.home_path}",
        "name a run with --run-dir or a folder with --ensemble",
    )
