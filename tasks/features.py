"""Lay the verified data out as an int8 era store, and cut the walk-forward windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task

from eraflow.attempt import Work
from eraflow.errors import SettingsError
from eraflow.machine.estimate import Need
from eraflow.store.stage import StageRecord
from eraflow.tournament.eras import Window, final_eras, walk_forward
from eraflow.tournament.schema import Contract
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


@dataclass(frozen=True)
class Features:
    """The era store's record, and what every model is judged on."""

    record: StageRecord
    contract: Contract
    windows: tuple[Window, ...]
    training_eras: tuple[str, ...]

    @property
    def store(self) -> Path:
        """The folder of the era store."""
        return self.record.path / "store"


@task(name="features", task_run_name="features", **STAGE_TASK)
def build_features(run: Run, data: Data) -> Features:
    """Write the era store and cut the windows; too few eras end the run before any training."""
    contract, settings = data.contract, run.settings
    taken = {model.name for model in settings.models} & set(contract.benchmarks)
    if taken:
        raise SettingsError(f"a model is called like the benchmark {', '.join(taken)}", "give it another name")
    stride = settings.data.era_stride
    windows = walk_forward(contract.resolved_eras, contract.horizon_days, settings.windows, stride=stride)
    files = data.files
    decided = {"data": settings.data.model_dump(mode="json"), "contract": contract.as_dict()}
    work = Work(
        name="features",
        target="eraflow.tournament.features:build_features",
        settings=decided,
        inputs={"data": data.signature},
        arguments={"files": files.as_dict(), "contract": contract.as_dict()},
        need=_need(contract),
    )
    record = run_stage(run, work)
    get_run_logger().info(
        "%d windows over eras %s to %s, purge %d weeks",
        len(windows),
        windows[0].test[0],
        windows[-1].test[-1],
        windows[0].purge_weeks,
    )
    return Features(
        record, contract, tuple(windows), final_eras(contract.resolved_eras, settings.windows, stride=stride)
    )


def _need(contract: Contract) -> Need:
    """Every row of train and validation, with target, benchmarks and meta model."""
    rows = sum(contract.rows.get(name, 0) for name in ("train.parquet", "validation.parquet"))
    return Need("features", rows=rows, columns=len(contract.features), floats=2 + len(contract.benchmarks))
