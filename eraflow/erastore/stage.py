"""The stage that turns the verified files of a round into an era store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.data.contract import Contract
from eraflow.data.coverage import META_MODEL
from eraflow.data.datafiles import DataFiles
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.job import How, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report

STORE = "store"


@dataclass(frozen=True)
class FeaturesJob:
    """What the era store is made of; the content of the files is known by their signature."""

    contract: Contract
    files: How[DataFiles]


@stage_function(FeaturesJob)
def build_features(job: FeaturesJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Write `out/store`: every resolved era of train and validation, all targets, the benchmarks and the meta model.

    Returns:
        rows, features and eras of the store, and what is missing in it.
    """
    paths, agreed = job.files, job.contract
    store = write_era_store(
        [paths.train, paths.validation],
        agreed.features,
        agreed.targets,
        out / STORE,
        eras=agreed.stored_eras,
        joined=joined_files(paths, agreed),
        rows_in_memory=plan.rows_in_memory,
        progress=lambda done, total: report(done, total, "rows written"),
    )
    return {
        "rows": store.n_rows,
        "features": len(store.features),
        "eras": len(store.eras),
        "missing": store.missing.describe(),
    }


def joined_files(files: DataFiles, contract: Contract) -> dict[str, tuple[Path, ...]]:
    """Column name -> the files that it is joined from by id: the benchmark models and the meta model."""
    joined: dict[str, tuple[Path, ...]] = dict.fromkeys(contract.benchmarks, files.benchmark_files)
    if files.meta_model is not None:
        joined[META_MODEL] = (files.meta_model,)
    return joined
