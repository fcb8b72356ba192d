"""The stage that turns the verified files of a round into an era store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.store.erastore import write_era_store
from eraflow.tournament.schema import META_MODEL, Contract, DataFiles


def build_features(*, out: str, files: Mapping[str, str | None], contract: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Write `out/store`: every resolved era of train and validation, the target, the benchmarks and the meta model.

    Returns:
        rows, features and eras of the store.
    """
    paths, agreed = DataFiles.from_dict(files), Contract.from_dict(contract)
    benchmark_files = [path for path in (paths.train_benchmark_models, paths.validation_benchmark_models) if path]
    companions = {name: benchmark_files for name in agreed.benchmarks}
    if paths.meta_model is not None:
        companions[META_MODEL] = [paths.meta_model]
    store = write_era_store(
        [paths.train, paths.validation],
        agreed.features,
        [agreed.target],
        Path(out) / "store",
        eras=agreed.resolved_eras,
        companions=companions,
        rows_in_memory=Plan(**plan).rows_in_memory,
        progress=lambda done, total: report(done, total, "rows written"),
    )
    return {"rows": store.n_rows, "features": len(store.features), "eras": len(store.eras)}
