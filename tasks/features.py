"""Lay the verified data out as an int8 era store, and cut the walk-forward windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prefect import get_run_logger, task

from eraflow.data.contract import Contract
from eraflow.data.eras import Window, final_eras, walk_forward
from eraflow.data.memberbag import Bag, cut_bag
from eraflow.data.membereras import Member, cut_member
from eraflow.erastore.stage import STORE, FeaturesJob
from eraflow.errors import SettingsError
from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.reclaim import ERAS
from eraflow.runs.sharedstages import SharedStages
from eraflow.runs.stage import StageRecord
from eraflow.settings.models import ModelSettings
from eraflow.settings.run import RunSettings
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage

LEARNED = ("train.parquet", "validation.parquet")
"""The files whose rows the era store is made of."""


@dataclass(frozen=True)
class Features:
    """The era store's record, and what every model is judged on.

    Attributes:
        windows: of the run's own target: who is judged where.
        training_eras: what a final fit on the run's own target learns from.
        members: by name; what each learns from before the same judged eras, as its own target's purge allows.
        stride: learn from every n-th era.
        groups: name -> features, of the named groups that features.json divides them into.
    """

    record: StageRecord
    contract: Contract
    windows: tuple[Window, ...]
    training_eras: tuple[str, ...]
    members: Mapping[str, Member]
    stride: int = 1
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The folder of the era store."""
        return self.record.path / STORE


@task(name="features", task_run_name="features", **STAGE_TASK)
def build_features(run: Run, data: Data) -> Features:
    """Write the era store and cut the windows; too few eras end the run before any training."""
    contract, settings = data.contract, run.settings
    taken = {model.name for model in settings.models} & set(contract.benchmarks)
    if taken:
        raise SettingsError(f"a model is called like the benchmark {', '.join(taken)}", "give it another name")
    stride = settings.data.era_stride
    windows = walk_forward(contract.resolved_eras, contract.horizon_days, settings.windows, stride=stride)
    members = {
        model.name: replace(
            cut_member(contract, windows, model, settings.windows, stride), bag=_bag(settings, contract, data, model)
        )
        for model in settings.models
    }
    for member in members.values():
        if member.windows != tuple(windows):
            get_run_logger().info("%s", _told(member))
    job, inputs = FeaturesJob(contract, data.files), {"data": data.signature}
    work = Work("features", "eraflow.erastore.stage:build_features", job, inputs, _need(contract))
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
        members,
        stride,
        data.catalog.groups,
    )


def _bag(settings: RunSettings, contract: Contract, data: Data, model: ModelSettings) -> Bag | None:
    """The member's bag; where a code is learnt from instead of the features, there are no sets of these."""
    code_alone = settings.data.code != "none" and settings.data.code_use == "instead"
    sets = {} if code_alone else data.catalog.sets
    return cut_bag(model.bag, model.kind, model.params, contract.features, sets, settings.data.features)


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


def _told(member: Member) -> str:
    windows, what = member.windows, member.target if member.benchmark is None else f"the residual of {member.target}"
    return (
        f"{member.name} learns {what}: eras {windows[0].train[0]} to {windows[0].train[-1]} in the first window, "
        f"to {windows[-1].train[-1]} in the last, purge {windows[0].purge_weeks} weeks"
    )


def _need(contract: Contract) -> Need:
    """Every row and column chunk of train and validation, with targets, benchmarks and meta model.

    A contract that was written before it told of chunks counts none.
    """
    rows, chunks = (sum(told.get(name, 0) for name in LEARNED) for told in (contract.rows, contract.chunks))
    floats = len(contract.targets) + 1 + len(contract.benchmarks)
    return Need("features", rows=rows, columns=len(contract.features), floats=floats, chunks=chunks)
