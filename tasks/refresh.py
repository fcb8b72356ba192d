"""Fetch this round's files, verified, and check the data contract before any work begins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task

from eraflow.errors import EraflowError
from eraflow.store.digest import value_sha256
from eraflow.store.weekrecord import timed
from eraflow.tournament.client import Round, Tournament
from eraflow.tournament.schema import Contract, DataFiles, check_contract
from eraflow.tournament.transfer import Receipt, verify_json, verify_parquet
from tasks.run import Run
from tasks.stage import LIGHT_TASK, in_words
from tasks.tournament import source_key

MANDATORY = ("features.json", "train.parquet", "validation.parquet", "live.parquet")
OPTIONAL = (
    "train_benchmark_models.parquet",
    "validation_benchmark_models.parquet",
    "live_benchmark_models.parquet",
    "meta_model.parquet",
)
ROUNDS_KEPT = 2
SAY_EVERY_SECONDS = 10.0


class IncompleteDatasetError(EraflowError):
    """The version lacks a file that cannot be done without. Check data.version against Numerai's list."""

    code = "incomplete_dataset"


@dataclass(frozen=True)
class Data:
    """The verified files of a round: paths, the contract they fulfil, and a signature over all but the live files.

    A new live file alone retrains nothing; the prediction has its own signature over it.
    """

    files: DataFiles
    contract: Contract
    signature: str


@task(name="refresh", task_run_name="refresh", **LIGHT_TASK)
def refresh(run: Run, tournament: Tournament, round_now: Round) -> Data:
    """Download what changed, reuse what is proven unchanged, and check the contract."""
    logger = get_run_logger()
    version = run.settings.data.version
    root = _root(run)
    with timed(run.path, "refresh"):
        receipts = {
            name: _fetch(tournament, f"{version}/{name}", _place(root, name, round_now.number), logger.info)
            for name in _wanted(tournament, version)
        }
    _drop_old_rounds(root, round_now.number, logger.info)
    files = _data_files(receipts)
    with timed(run.path, "contract"):
        settings = run.settings
        contract = check_contract(
            files, settings.data, auxiliary=settings.auxiliary_targets, residual=settings.learns_residual
        )
    learned_from = {name: receipt.sha256 for name, receipt in receipts.items() if not name.startswith("live")}
    signature = value_sha256(learned_from)
    logger.info("data contract holds: %s", contract.describe())
    return Data(files, contract, signature)


@task(name="refresh-live", task_run_name="refresh-live", **LIGHT_TASK)
def refresh_live(run: Run, tournament: Tournament, round_now: Round) -> Path:
    """Download only the live file of this round, for a prediction with the champion."""
    version = run.settings.data.version
    place = _place(_root(run), "live.parquet", round_now.number)
    with timed(run.path, "refresh"):
        return Path(_fetch(tournament, f"{version}/live.parquet", place, get_run_logger().info).path)


def _root(run: Run) -> Path:
    return run.settings.home_path / "data" / source_key(run.settings) / run.settings.data.version


def _wanted(tournament: Tournament, version: str) -> list[str]:
    offered = set(tournament.list_files(version))
    missing = [name for name in MANDATORY if f"{version}/{name}" not in offered]
    if missing:
        raise IncompleteDatasetError(
            f"version {version} has no {', '.join(missing)}; offered: {', '.join(sorted(offered)) or 'nothing'}",
            "set data.version to a version that Numerai lists",
        )
    return [*MANDATORY, *(name for name in OPTIONAL if f"{version}/{name}" in offered)]


def _place(root: Path, name: str, round_number: int) -> Path:
    """Training files stay as they are within a version; everything else belongs to one round."""
    return root / name if name.startswith("train") else root / f"round-{round_number}" / name


def _fetch(tournament: Tournament, name: str, place: Path, log: Callable[[str], None]) -> Receipt:
    started = time.monotonic()
    verify = verify_json if name.endswith(".json") else verify_parquet
    receipt = tournament.download(name, place, verify, DownloadShown(name, log))
    how = "unchanged" if receipt.reused else f"{receipt.bytes / 1e6:.1f} MB in {time.monotonic() - started:.1f} s"
    log(f"{name} {how}")
    return receipt


class DownloadShown:
    """A log line every ten seconds of a long download, with the time left."""

    def __init__(self, name: str, log: Callable[[str], None]) -> None:
        self.name, self.log = name, log
        self.started = self.said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take the bytes that are there and the bytes in all."""
        now = time.monotonic()
        if now - self.said < SAY_EVERY_SECONDS or not 0 < done <= total:
            return
        self.said = now
        left = (now - self.started) * (total - done) / done
        self.log(f"{self.name} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {in_words(left)} left")


def _drop_old_rounds(root: Path, current: int, log: Callable[[str], None]) -> None:
    """Weekly files of older rounds would fill the disk: several gigabytes each."""
    folders = sorted(root.glob("round-*"), key=lambda path: int(path.name.partition("-")[2]))
    old = [path for path in folders if not path.name.endswith(f"-{current}")]
    for path in old[: max(0, len(old) - (ROUNDS_KEPT - 1))]:
        shutil.rmtree(path, ignore_errors=True)
        log(f"removed the files of {path.name}")


def _data_files(receipts: dict[str, Receipt]) -> DataFiles:
    def path(name: str) -> Path | None:
        return Path(receipts[name].path) if name in receipts else None

    return DataFiles(
        features_json=Path(receipts["features.json"].path),
        train=Path(receipts["train.parquet"].path),
        validation=Path(receipts["validation.parquet"].path),
        live=Path(receipts["live.parquet"].path),
        train_benchmark_models=path("train_benchmark_models.parquet"),
        validation_benchmark_models=path("validation_benchmark_models.parquet"),
        live_benchmark_models=path("live_benchmark_models.parquet"),
        meta_model=path("meta_model.parquet"),
    )
