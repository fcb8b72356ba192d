"""Fetch this round's files, verified, and check the data contract before any work begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prefect import get_run_logger, task

from eraflow.data.catalog import Catalog, read_catalog
from eraflow.data.contract import LIVE, Contract
from eraflow.data.datafiles import DataFiles
from eraflow.disk.digest import value_sha256
from eraflow.errors import EraflowError
from eraflow.machine.job import from_json
from eraflow.numerai.client import Tournament
from eraflow.numerai.inspection import LiveJob, RoundJob
from eraflow.numerai.receipts import Receipt
from eraflow.numerai.rounds import Round
from eraflow.runs.attempt import Work
from eraflow.runs.fetching import LIVE_STAGE, STAGE, Fetching
from eraflow.runs.identity import data_files, note_data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage
from tasks.tournament import source_key

MANDATORY = ("features.json", "train.parquet", "validation.parquet", LIVE)
OPTIONAL = (
    "train_benchmark_models.parquet",
    "validation_benchmark_models.parquet",
    "live_benchmark_models.parquet",
    "meta_model.parquet",
)
ROUNDS_KEPT = 2


class IncompleteDatasetError(EraflowError):
    """The version lacks a file that cannot be done without. Check data.version against Numerai's list."""

    code = "incomplete_dataset"


@dataclass(frozen=True)
class Data:
    """The verified files of a round.

    Attributes:
        files: where they lie.
        contract: what they fulfil.
        catalog: features.json, as it was checked.
        signature: over all but the live files. A new live file alone retrains nothing; the prediction has its own
            signature over it.
        round_number: the round that was open, or was to open next, when they were fetched.
    """

    files: DataFiles
    contract: Contract
    catalog: Catalog
    signature: str
    round_number: int


@task(name="refresh", task_run_name="refresh", **STAGE_TASK)
def refresh(run: Run, tournament: Tournament, ahead: Round) -> Data:
    """Download what changed, reuse what is proven unchanged, decode what is new, and check the contract.

    Args:
        ahead: the round that the run works for. Before it opens, its live files are not there: `live_file` fetches
            the one that is needed later.
    """
    logger = get_run_logger()
    version = run.settings.data.version
    root, wanted = _root(run), _wanted(tournament, version, with_live=ahead.is_open)
    places = {f"{version}/{name}": _place(root, name, ahead.number) for name in wanted}
    fetch = _fetching(run, tournament, places)
    record = fetch.until_whole(lambda receipts: run_stage(run, _contract_work(run, receipts)))
    _drop_old_rounds(root, ahead.number, logger.info)
    receipts = {name.partition("/")[2]: receipt for name, receipt in fetch.receipts.items()}
    _note(run, receipts)
    contract = from_json(Contract, record.metrics["contract"])
    learned_from = {name: receipt.sha256 for name, receipt in receipts.items() if not name.startswith("live")}
    signature = value_sha256(learned_from)
    logger.info("data contract holds: %s", contract.describe())
    files = _data_files(receipts)
    return Data(files, contract, read_catalog(files.features_json), signature, ahead.number)


def live_file(run: Run, tournament: Tournament, data: Data, round_now: Round) -> Path:
    """The live file of the open round: fetched with the others, or now, where the round was not open by then.

    Raises:
        EraflowError: it is not what the ensemble needs, see `check_live`; the round may have another version of data.
    """
    if data.files.live is not None and data.round_number == round_now.number:
        return data.files.live
    return refresh_live(run, tournament, round_now, data)


@task(name="refresh-live", task_run_name="refresh-live", **STAGE_TASK)
def refresh_live(run: Run, tournament: Tournament, round_now: Round, data: Data | None = None) -> Path:
    """Download only the live file of this round: for the champion, or for a run that began before the round opened.

    Args:
        data: what such a run has learnt from.
    """
    name = f"{run.settings.data.version}/{LIVE}"
    fetch = _fetching(run, tournament, {name: _place(_root(run), LIVE, round_now.number)}, LIVE_STAGE)
    fetch.until_whole(lambda receipts: run_stage(run, _live_work(receipts, data)))
    _note(run, {LIVE: fetch.receipts[name]}, beside=data_files(run.path))
    return fetch.receipts[name].path


def _note(
    run: Run, receipts: Mapping[str, Receipt], beside: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> None:
    """Write down which bytes this run works with: its record tells them, and whoever builds it again compares.

    Args:
        beside: what was noted before and stays as it is.
    """
    told = {
        name: {"path": str(receipt.path), "sha256": receipt.sha256, "bytes": receipt.bytes}
        for name, receipt in receipts.items()
    }
    note_data(run.path, {**beside, **told})


def _fetching(run: Run, tournament: Tournament, places: Mapping[str, Path], stage: str = STAGE) -> Fetching:
    logger = get_run_logger()
    return Fetching(
        tournament.download,
        places,
        attempts=run.settings.source.attempts,
        run_dir=run.path,
        log=logger.info,
        warn=logger.warning,
        stage=stage,
    )


def _fresh(receipts: Mapping[str, Receipt]) -> dict[str, Path]:
    return {name: Path(receipt.path) for name, receipt in receipts.items() if not receipt.decoded}


def _contract_work(run: Run, receipts: Mapping[str, Receipt]) -> Work:
    """The stage `contract`: one child for all files of the round."""
    job = RoundJob(
        data=run.settings.data,
        auxiliary=run.settings.auxiliary_targets,
        residual=run.settings.learns_residual,
        files=_data_files({name.partition("/")[2]: receipt for name, receipt in receipts.items()}),
        fresh=_fresh(receipts),
        proved=tuple(name for name, receipt in receipts.items() if receipt.checksum is not None),
    )
    inputs = {name: receipt.sha256 for name, receipt in receipts.items()}
    return Work(STAGE, "eraflow.numerai.inspection:inspect_round", job, inputs)


def _live_work(receipts: Mapping[str, Receipt], data: Data | None) -> Work:
    """The stage over a live file that came alone: it can be decoded, and is what the run needs."""
    inputs = {name: receipt.sha256 for name, receipt in receipts.items()}
    fresh = _fresh(receipts)
    if data is None:
        job = LiveJob(fresh)
    else:
        [live] = (receipt.path for receipt in receipts.values())
        job = LiveJob(fresh, live, data.files.features_json, data.contract.features)
    return Work(LIVE_STAGE, "eraflow.numerai.inspection:inspect_live", job, inputs)


def _root(run: Run) -> Path:
    return run.settings.home_path / "data" / source_key(run.settings) / run.settings.data.version


def _wanted(tournament: Tournament, version: str, *, with_live: bool) -> list[str]:
    """Names of the files to fetch; without the live ones, which are another round's until this one is open."""
    offered = set(tournament.list_files(version))
    mandatory, optional = (
        [name for name in names if with_live or not name.startswith("live")] for names in (MANDATORY, OPTIONAL)
    )
    missing = [name for name in mandatory if f"{version}/{name}" not in offered]
    if missing:
        raise IncompleteDatasetError(
            f"version {version} has no {', '.join(missing)}; offered: {', '.join(sorted(offered)) or 'nothing'}",
            "set data.version to a version that Numerai lists",
        )
    return [*mandatory, *(name for name in optional if f"{version}/{name}" in offered)]


def _place(root: Path, name: str, round_number: int) -> Path:
    """Training files stay as they are within a version; everything else belongs to one round."""
    return root / name if name.startswith("train") else root / f"round-{round_number}" / name


def _drop_old_rounds(root: Path, current: int, log: Callable[[str], None]) -> None:
    """Weekly files of older rounds would fill the disk: several gigabytes each."""
    ours = (path for path in root.glob("round-*") if path.name.removeprefix("round-").isdecimal())
    folders = sorted(ours, key=lambda path: int(path.name.removeprefix("round-")))
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
        live=path(LIVE),
        train_benchmark_models=path("train_benchmark_models.parquet"),
        validation_benchmark_models=path("validation_benchmark_models.parquet"),
        live_benchmark_models=path("live_benchmark_models.parquet"),
        meta_model=path("meta_model.parquet"),
    )
