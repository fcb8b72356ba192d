"""What people look at of the selection and of the models' importances: tables and heat maps, kept over the weeks."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import polars as pl
from prefect.artifacts import create_markdown_artifact

from eraflow.discovery.drift import Drift, DriftHistoryError, history_path, remember
from eraflow.discovery.stage import ASSOCIATIONS, LIVE
from eraflow.disk.atomic import StorageError
from eraflow.disk.plainpaths import read_parquet
from eraflow.reports.heatmap import drift_map
from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.runs.stage import StageRecord
from eraflow.settings.run import RunSettings
from models.base.predictions import OutOfFoldFileError
from models.training.importance import read_importance
from tasks.pages.artifacts import artifact_key, shown

SHOWN = 30
COLUMNS = {
    "feature": "feature",
    "outcome": "outcome",
    "order": "order",
    "mean": "association",
    "statistic": "statistic",
    "q_value": "q",
    "stability": "same sign",
    "environment_p": "p of equal blocks",
}
"""Columns of the table of a window, and what they are called on the page."""


def show_selection(record: StageRecord) -> None:
    """How many features each window has and why, and the strongest of the choice for live."""
    outcomes = sorted({name for counts in record.metrics["outcomes"].values() for name in counts})
    counted = [
        [label, chosen, *(record.metrics["outcomes"][label].get(name, 0) for name in outcomes)]
        for label, chosen in record.metrics["chosen"].items()
    ]
    live = read_parquet(record.path / f"window-{LIVE}.parquet")
    best = live.filter(pl.col("chosen")).sort(pl.col("statistic").abs(), descending=True).head(SHOWN)
    filled = [name for name in COLUMNS if not best[name].dtype.is_float() or best[name].is_finite().any()]
    rows = [list(row) for row in best.select(filled).iter_rows()]
    strongest = markdown_table([COLUMNS[name] for name in filled], rows)
    text = (
        f"{record.metrics['in_all']} of {record.metrics['features']} features are chosen in every window.\n\n"
        f"{markdown_table(['window', 'features', *outcomes], counted)}\n\n"
        f"The strongest of those chosen for live, on all resolved eras:\n\n{strongest}"
    )
    shown(lambda: create_markdown_artifact(text, key="selection", description="Selected features"))


def show_associations(settings: RunSettings, target: str, record: StageRecord) -> None:
    """The heat map of associations over blocks of eras; the figures go into the history."""
    frame = read_parquet(record.path / ASSOCIATIONS)
    drift = Drift(
        tuple(frame["feature"].to_list()),
        tuple(frame.columns[1:]),
        frame.select(frame.columns[1:]).to_numpy().astype(np.float64),
    )
    show_drift(settings, drift, measure="association", model="", target=target)


def show_importance(settings: RunSettings, model: str, record: StageRecord) -> None:
    """What matters to one model, out of fold: a table of its strongest features, and SHAP over blocks as a heat map.

    Call it when the model's training stage is finished. All measures go into the history in the home folder. What
    cannot be read or drawn costs the page, not the model.
    """
    try:
        found = read_importance(record.path)
    except OutOfFoldFileError as error:
        logging.getLogger(__name__).error("%s", error)
        return
    if not found:
        return
    leading = "shap" if "shap" in found else next(iter(found))
    means = {measure: _means(drift) for measure, drift in found.items()}
    rows = [[name, *(means[each].get(name) for each in found)] for name in found[leading].strongest(SHOWN).features]
    text = (
        "Mean over the blocks of judged eras. gain and shap are shares; permutation is CORR lost, measured for the "
        f"strongest features only.\n\n{markdown_table(['feature', *found], rows)}"
    )
    key = artifact_key("importance", model)
    shown(lambda: create_markdown_artifact(text, key=key, description=f"Importance, {model}, out of fold"))
    for measure, drift in found.items():
        show_drift(settings, drift, measure=measure, model=model, target="", show=measure == leading)


def _means(drift: Drift) -> dict[str, float]:
    known = np.isfinite(drift.values)
    sums, counts = np.where(known, drift.values, 0).sum(axis=1), known.sum(axis=1)
    return {name: sums[at] / counts[at] for at, name in enumerate(drift.features) if counts[at]}


def show_drift(
    settings: RunSettings, drift: Drift, *, measure: str, model: str, target: str, show: bool = True
) -> None:
    """Add figures to the history in the home folder and show it; trouble with the history costs the week nothing."""
    version = settings.data.version
    path = history_path(settings.home_path, measure, model, target)
    try:
        history = remember(path, version, drift)
    except (DriftHistoryError, StorageError) as error:
        logging.getLogger(__name__).error("%s", error)
        history = {version: drift}
    if not show:
        return
    title = " ".join(part for part in (measure, "of", model or target) if part)
    key = artifact_key("drift", measure, model or target)
    shown(lambda: create_markdown_artifact(_drift_page(history, drift, title), key=key, description=f"Drift: {title}"))


def _drift_page(history: Mapping[str, Drift], drift: Drift, title: str) -> str:
    png = drift_map(history, title=f"{title}, by blocks of eras")
    agreed = [[block, value] for block, value in zip(drift.blocks, drift.agreement(), strict=True) if value is not None]
    return (
        f"{png_markdown(png, title)}\n\nRank correlation of each block with the mean of the blocks before it:\n\n"
        f"{markdown_table(['eras', 'agreement'], agreed)}"
    )
