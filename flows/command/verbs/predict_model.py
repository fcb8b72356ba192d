"""Which ensemble or model `eraflow predict` uses: the one that is named, else the champion."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from eraflow.disk.home import home_folder
from eraflow.errors import SettingsError
from eraflow.machine.credentials import TRACKING
from eraflow.machine.isolate import run_isolated
from flows.command.terminal.outputs import tell


def model_for(arguments: argparse.Namespace, scratch: Path) -> tuple[Path, str, str | None]:
    """The ensemble or model that is named, else the champion; its lasting name, not that of a scratch copy; and its
    run's out-of-fold predictions, where there are such."""
    for name, given in (("--ensemble", arguments.ensemble), ("--run-dir", arguments.run_dir)):
        if given and not Path(given).is_dir():
            raise SettingsError(f"{name}: there is no folder {given}", "name the folder of a run or of an ensemble")
    if arguments.ensemble:
        _check_is_model(Path(arguments.ensemble))
        return Path(arguments.ensemble), str(arguments.ensemble), _oof_beside(Path(arguments.ensemble))
    if arguments.run_dir:
        from eraflow.runs.stage import require

        if not (Path(arguments.run_dir) / "blend").is_dir():
            raise SettingsError(
                f"--run-dir: {arguments.run_dir} holds no blend", "name the folder of a run that has come so far"
            )
        folder = require(Path(arguments.run_dir) / "blend").path / "ensemble"
        return folder, str(folder), _oof_beside(folder)
    found = run_isolated(  # MLflow takes more memory than the prediction: it is not to stay
        "flows.command.verbs.predict_model:fetch_any_champion",
        {"home": str(home_folder(arguments.home)), "destination": str(scratch / "champion")},
        memory_mb=None,
        timeout_s=None,
        log=tell,
        folder=scratch / "fetch",
        env={name: value for name, value in os.environ.items() if name.startswith(TRACKING)},
    )
    return scratch / "champion", found.value["name"], found.value["oof_file"]


def _oof_beside(folder: Path) -> str | None:
    """The out-of-fold predictions of the stage that a model or an ensemble lies in, or of that of its ensemble."""
    for place in list(folder.resolve().parents)[:4]:
        if (place / "oof.parquet").is_file():
            return str(place / "oof.parquet")
    return None


def _check_is_model(folder: Path) -> None:
    """Raise SettingsError for a folder that was never an ensemble or a model, and say where in it one lies."""
    if any((folder / name).exists() for name in ("ensemble.json", "model.json", "models")):
        return
    if (folder / "blend").is_dir():
        remedy = f"use --run-dir {folder}"
    elif (folder / "model").is_dir() or (folder / "ensemble").is_dir():
        remedy = f"name {folder / ('model' if (folder / 'model').is_dir() else 'ensemble')}"
    else:
        remedy = "name the blend/ensemble or a train-NAME/model of a run"
    raise SettingsError(f"--ensemble: {folder} holds neither ensemble.json nor model.json", remedy)


def fetch_any_champion(*, home: str, destination: str) -> dict[str, str | None]:
    """Bring the champion to a folder: Numerai's, or where there is none yet the sandbox's.

    Returns:
        Its name, and `oof_file`: the out-of-fold predictions of its run, where that still is where it was.

    Raises:
        SettingsError: no champion is registered.
        TrackingError, ChampionDamagedError: the registry cannot be read, or its files are damaged.
    """
    from eraflow.settings.run import RunSettings
    from eraflow.tracking.registry import champion_info, load_champion
    from eraflow.tracking.tracking import Tracker

    settings = RunSettings(home=home)
    for name in (settings.tracking.registered_model, f"{settings.tracking.registered_model}-sandbox"):
        tracking = settings.tracking.model_copy(update={"registered_model": name})
        tracker = Tracker(settings.home_path, tracking)
        champion, info = load_champion(tracker, Path(destination)), champion_info(tracker)
        if champion is not None and info is not None:
            oof = Path(info.tags.get("run_dir", "")) / "blend" / "oof.parquet"
            of = f" ({info.seat})" if info.seat is not None else ""  # the last one shipped; there may be others
            return {"name": f"{name} version {info.version}{of}", "oof_file": str(oof) if oof.is_file() else None}
    raise SettingsError(
        f"no champion is registered in {settings.home_path}",
        "name a run with --run-dir or a folder with --ensemble",
    )
