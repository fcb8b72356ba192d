"""Refuse settings that name what the tournament does not offer, before anything is downloaded or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from eraflow.data.offer import check_version
from eraflow.machine.apart import again_if_killed, failures_while
from eraflow.machine.isolate import run_isolated
from eraflow.numerai.client import Tournament
from eraflow.numerai.filecheck import check_ends, verify_json
from eraflow.runs.scratch import scratch_folder
from eraflow.settings.run import RunSettings
from models.training.refusals import refuse_settings
from tasks.run import Run
from tasks.stage import LIGHT_TASK
from tasks.tournament import served_folder, source_key

OFFER = "offer"
"""Folder beside those of the rounds: the catalog as it was when the settings were checked."""
CHECK, CHECK_SECONDS = "eraflow.data.offer:check_names", 300.0
BENCHMARKS = ("train_benchmark_models.parquet", "validation_benchmark_models.parquet")
LIVE_BENCHMARKS = "live_benchmark_models.parquet"


@task(name="check-settings", task_run_name="check-settings", **LIGHT_TASK)
def check_settings(run: Run, tournament: Tournament, *, trains: bool = True) -> None:
    """Hold the settings against what the learners take and the tournament offers, before anything large is fetched.

    Args:
        run: the settings and the folder.
        tournament: where the data come from.
        trains: whether anything is learnt; where not, only the version matters.

    Raises:
        ModelSettingsError, UnknownVersionError, UnknownFeatureSetError, NoFeaturesError, MissingTargetError,
        MissingBenchmarkError, AliasTargetError, UnknownHorizonError: what is wrong, with what there is instead.
    """
    settings, log = run.settings, get_run_logger().info
    if trains:
        refuse_settings(settings, log)
    offered = tournament.list_files()
    version = settings.data.version
    check_version(version, offered)
    if (
        f"{version}/features.json" not in offered or not trains
    ):  # told with all that is missing when the data are fetched
        return
    place = settings.home_path / "data" / source_key(settings) / version / OFFER
    catalog = tournament.download(f"{version}/features.json", place / "features.json", verify_json)
    with scratch_folder("eraflow-offer-") as scratch:
        names = {
            "features_json": str(catalog.path),
            "data": settings.data.model_dump(mode="json"),
            "auxiliary": list(settings.auxiliary_targets),
            "neutralise": settings.blend.neutralise_features,
            **_files(settings, tournament, set(offered), place),
        }
        with failures_while(f"the files of {served_folder(settings) or version} were looked at"):
            limits: dict[str, Any] = {"memory_mb": None, "timeout_s": CHECK_SECONDS, "threads": 1}
            again_if_killed(lambda: run_isolated(CHECK, names, log=log, folder=scratch / "work", **limits), log)


def _files(settings: RunSettings, tournament: Tournament, offered: set[str], place: Path) -> dict[str, Any]:
    """The files whose columns tell the targets and the benchmarks, where they lie here or are small."""
    version, folder = settings.data.version, served_folder(settings)
    if folder is not None:
        train = folder / "train.parquet"
        benchmarks = [str(folder / name) for name in BENCHMARKS if (folder / name).is_file()]
        return {"train": str(train) if train.is_file() else None, "benchmarks": benchmarks}
    name = f"{version}/{LIVE_BENCHMARKS}"
    if settings.data.benchmark is None or name not in offered:
        return {"train": None, "benchmarks": None}
    found = tournament.download(name, place / LIVE_BENCHMARKS, check_ends, sealed=False)
    return {"train": None, "benchmarks": [str(found.path)]}
