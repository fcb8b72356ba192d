"""Lay the verified data out as an int8 era store, and cut the walk-forward windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prefect import get_run_logger, task

from eraflow.data.contract import Contract
from eraflow.data.eras import Window, final_eras, walk_forward
from eraflow.data.membereras import member_final_eras, member_windows, target_of
from eraflow.errors import SettingsError
from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.reclaim import ERAS
from eraflow.runs.sharedstages import SharedStages
from eraflow.runs.stage import StageRecord
from eraflow.settings.models import ModelSettings
from eraflow.settings.windows import WindowSettings
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage

LEARNED = ("train.parquet", "validation.parquet")
"""The files whose rows the era store is made of."""


@dataclass(frozen=True)
class Features:
    """The era store's record, and what every model is judged on.

    Attributes:
        windows: of the run's own target: who is judged where. Members of other targets learn from `windows_for`.
        training_eras: what the final fit on the run's own target learns from; for members see `final_eras_for`.
        cut: how windows are cut.
        stride: learn from every n-th era.
    """

    record: StageRecord
    contract: Contract
    windows: tuple[Window, ...]
    training_eras: tuple[str, ...]
    cut: WindowSettings = field(default_factory=WindowSettings)
    stride: int = 1

    @property
    def store(self) -> Path:
        """The folder of the era store."""
        return self.record.path / "store"


def windows_for(features: Features, model: ModelSettings) -> tuple[Window, ...]:
    """What a member learns from in each window: the eras that its own target's purge allows before the judged ones.

    The judged eras are the same for everybody. A member that learns a residual has only eras that the benchmark covers.

    Raises:
        TooFewErasError, BenchmarkCoverageError: a window is left with too little.
    """
    return member_windows(features.contract, features.windows, model, features.cut, features.stride)


def final_eras_for(features: Features, model: ModelSettings) -> tuple[str, ...]:
    """What a member's model for live learns from: every era in which its own target is resolved, thinned by stride."""
    return member_final_eras(features.contract, model, features.cut, features.stride)


@task(name="features", task_run_name="features", **STAGE_TASK)
def build_features(run: Run, data: Data) -> Features:
    """Write the era store and cut the windows; too few eras end the run before any training."""
    contract, settings = data.contract, run.settings
    taken = {model.name for model in settings.models} & set(contract.benchmarks)
    if taken:
        raise SettingsError(f"a model is called like the benchmark {', '.join(taken)}", "give it another name")
    stride = settings.data.era_stride
    windows = walk_forward(contract.resolved_eras, contract.horizon_days, settings.windows, stride=stride)
    for model in settings.models:
        own = member_windows(contract, windows, model, settings.windows, stride)
        if own != tuple(windows):
            get_run_logger().info("%s", _told(model, target_of(contract, model), own))
    decided = {"data": settings.data.model_dump(mode="json"), "contract": contract.agreement()}
    work = Work(
        name="features",
        target="eraflow.erastore.stage:build_features",
        settings=decided,
        inputs={"data": data.signature},
        arguments={"files": data.files.as_dict(), "contract": contract.as_dict()},
        need=_need(contract),
    )
    record = _shared(run, work)
    get_run_logger().info(
        "%d windows over eras %s to %s, purge %d weeks",
        len(windows),
        windows[0].test[0],
        windows[-1].test[-1],
        windows[0].purge_weeks,
    )
    return Features(
        record,
        contract,
        tuple(windows),
        final_eras(contract.resolved_eras, settings.windows, stride=stride),
        settings.windows,
        stride,
    )


def _shared(run: Run, work: Work) -> StageRecord:
    """The stage, made by this run or taken from another one that learnt from the same data: one copy on disk."""
    stages = SharedStages(run.settings.home_path / ERAS)
    logger = get_run_logger()
    with stages.held(work.signature, logger.info):
        if stages.take(work.signature, run.path / work.name):
            logger.info("the era store of these data is there already: shared with %s", stages.entry(work.signature))
        record = run_stage(run, work)
        stages.keep(record)
    return record


def _told(model: ModelSettings, target: str, windows: Sequence[Window]) -> str:
    what = f"the residual of {target}" if model.learn == "residual" else target
    return (
        f"{model.name} learns {what}: eras {windows[0].train[0]} to {windows[0].train[-1]} in the first window, "
        f"to {windows[-1].train[-1]} in the last, purge {windows[0].purge_weeks} weeks"
    )


def _need(contract: Contract) -> Need:
    """Every row and column chunk of train and validation, with targets, benchmarks and meta model.

    A contract that was written before it told of chunks counts none.
    """
    rows, chunks = (sum(told.get(name, 0) for name in LEARNED) for told in (contract.rows, contract.chunks))
    floats = len(contract.targets) + 1 + len(contract.benchmarks)
    return Need("features", rows=rows, columns=len(contract.features), floats=floats, chunks=chunks)
