"""`eraflow predict`: predictions of a file by a trained ensemble or model. Nothing is sent.

The work is done in a process of its own, whose memory can be kept small before any library is loaded; this one loads
next to nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from eraflow.disk.home import home_folder
from eraflow.errors import SettingsError
from eraflow.machine.apart import deaths_about
from eraflow.machine.credentials import TRACKING
from eraflow.machine.isolate import Outcome, run_isolated
from eraflow.machine.progress import Progress, readable_seconds
from eraflow.runs.conclusion import check_outside_of_concluded
from eraflow.runs.scratch import scratch_folder
from flows.command.terminal.outputs import complain, print_record, say, tell

LITTLE_MB = 2_048
"""With less memory free than this, it is spared at some cost of time."""
LITTLE = {
    "POLARS_MAX_THREADS": "1",  # each thread of a reader has buffers of its own
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # larger blocks go back to the system at once
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Environment of a process that is to stay small; it counts only before the libraries are loaded."""


def predict(arguments: argparse.Namespace) -> int:
    """Predict every row of the file and write the output."""
    data, out, began = _data(arguments), Path(arguments.out), time.monotonic()
    check_outside_of_concluded(out)
    _check_replaceable(out)
    with scratch_folder("eraflow-predict-") as scratch:
        folder, source, oof_file = _predictor(arguments, scratch)
        outcome = _run(arguments, folder, data, out, scratch, oof_file)
    record = _record(outcome, out, source, time.monotonic() - began)
    warning = in_sample_warning(record)
    if warning:
        complain(f"warning: {warning}")
    if arguments.json:
        print_record(record)
    else:
        say(_words(record))
    return 0


def _check_replaceable(out: Path) -> None:
    """What lies at the place of the output is replaced only where it looks like predictions.

    Raises:
        SettingsError: it is another file.
    """
    if not out.is_file() or out.stat().st_size == 0:
        return
    with out.open("rb") as file:
        begins = file.read(4)
    if begins not in (b"PAR1", b"id,p"):
        raise SettingsError(f"--out: {out} is there and holds no predictions", "choose another name, or move it away")


def _run(
    arguments: argparse.Namespace, folder: Path, data: Path, out: Path, scratch: Path, oof_file: str | None
) -> Outcome:
    from eraflow.machine.resources import first_plan, memory_budget_mb, probe
    from eraflow.settings.machine import MachineSettings

    resources = probe(Path.cwd())
    plan = first_plan(resources, MachineSettings())
    little = arguments.little_memory or resources.ram_available_mb < LITTLE_MB
    work = {
        "ensemble": str(folder),
        "data": str(data),
        "out": str(out),
        "plan": plan.as_dict(),
        "features": arguments.features,
        "oof_file": oof_file,
        "prefetch": "off" if little else arguments.prefetch,
    }
    shown = _Shown()
    try:
        with deaths_about(f"{data} was predicted"):
            return run_isolated(
                "models.prediction.predict:predict_file",
                work,
                memory_mb=memory_budget_mb(resources, MachineSettings(memory_mb=None)),
                timeout_s=None,
                log=tell,
                folder=scratch / "work",
                on_progress=shown.show,
                env=LITTLE if little else {},
                threads=plan.threads,
            )
    finally:
        shown.end()


class _Shown:
    """The progress on stderr: one line that is written over on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._next = time.monotonic() + (0.0 if self._terminal else 10.0)
        self._width = 0

    def show(self, progress: Progress) -> None:
        if time.monotonic() < self._next:
            return
        left = "" if progress.seconds_left is None else f", about {readable_seconds(progress.seconds_left)} left"
        text = f"{progress.fraction:.0%} {progress.label}{left}"
        if self._terminal:
            text = text[: shutil.get_terminal_size().columns - 1]  # a line that is broken cannot be written over
            sys.stderr.write(f"\r{text}\x1b[K")
            self._width = len(text)
        else:
            sys.stderr.write(f"{text}\n")
            self._next = time.monotonic() + 10.0
        sys.stderr.flush()

    def end(self) -> None:
        if self._width:
            sys.stderr.write("\n")


def _record(outcome: Outcome, out: Path, source: str, seconds: float) -> dict[str, Any]:
    from eraflow.disk.digest import file_sha256

    return {
        "file": str(out),
        "rows": outcome.value["rows"],
        "eras": outcome.value["eras"],
        "sha256": file_sha256(out),
        "ensemble": source,
        "seconds": round(seconds, 3),
        "peak_mb": round(outcome.peak_rss_mb, 1),
        "resumed_from": outcome.value["resumed_from"],
        "origin_known": outcome.value["origin_known"],
        "in_sample": outcome.value["in_sample"],
        "oof_file": outcome.value["oof_file"],
    }


def in_sample_warning(record: dict[str, Any]) -> str:
    """What must be known before these predictions are scored; empty where nothing is."""
    if not record["origin_known"]:
        return (
            "which eras these models learned from is unknown (an earlier version trained them): scores of past eras "
            "may be in-sample; those of the run's out-of-fold predictions are not"
        )
    found = record["in_sample"]
    count = found["learned"] + found["overlapping"]
    if not count:
        return ""
    oof = record["oof_file"]
    return (
        f"{count} of {record['eras']} eras ({found['first_era']} to {found['last_era']}) are in-sample, and their "
        f"scores no evidence of skill: the models learned from {found['learned']} of them, labels of "
        f"{found['overlapping']} overlap with those they learned; "
        + (f"honest predictions of past eras are in {oof}" if oof else "score the out-of-fold predictions of the run")
    )


def _words(record: dict[str, Any]) -> str:
    there = record["resumed_from"]
    resumed = "" if there is None else f"; went on after {there} rows of an earlier attempt"
    return (
        f"{record['rows']} predictions of {record['eras']} eras in {record['file']}, by {record['ensemble']} "
        f"({readable_seconds(record['seconds'])}, {record['peak_mb']:.0f} MiB{resumed})"
    )


def _data(arguments: argparse.Namespace) -> Path:
    if bool(arguments.live) == bool(arguments.data):
        raise SettingsError("predict needs one file", "name LIVE.parquet, or a folder with --data")
    return Path(arguments.live) if arguments.live else Path(arguments.data) / "live.parquet"


def _predictor(arguments: argparse.Namespace, scratch: Path) -> tuple[Path, str, str | None]:
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
        "flows.command.verbs.predict_verb:fetch_champion",
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


def fetch_champion(*, home: str, destination: str) -> dict[str, str | None]:
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
