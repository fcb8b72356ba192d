"""The stage that looks at a live era: features unlike before, exposure of what was predicted, and the week before.

out/drift.json  see `look_at_live`
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.discovery.livedrift import Codes, Figures, behaviour, directions, standardised, unlike_before
from eraflow.disk.atomic import write_json
from eraflow.disk.plainpaths import read_parquet
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import How, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.rows.openrows import open_rows
from eraflow.scoring.neutralise import one_blas_thread
from eraflow.scoring.ranking import FloatArray

DRIFT_STAGE = "drift"
"""The name of the stage and its folder."""
DRIFT = "drift.json"
KEPT = 20
"""Features that are written of each list."""
LEAST_PAST_ERAS = 20
DIRECTION_ROWS = 20_000
"""Of the past, from which the directions of common movement are taken."""
TILE_ROWS = 8192


@dataclass(frozen=True, kw_only=True)
class DriftJob:
    """A live era and what was predicted of it.

    Attributes:
        features: those of the run.
        eras: how many past eras it is compared with, the newest.
        error_rate: share of ordinary weeks in which any feature is named.
        store: folder of the era store.
        live: the live file.
        predictions: this week's predictions of it, as `predict_live` writes them.
        previous: the predictions of the same era by the ensemble that was shipped before; None without one.
    """

    features: tuple[str, ...]
    eras: int
    error_rate: float
    store: How[Path]
    live: How[Path]
    predictions: How[Path]
    previous: How[Path | None] = None


@stage_function(DriftJob)
def look_at_live(job: DriftJob, out: Path, _: Plan) -> dict[str, Any]:
    """Write `out/drift.json`.

    Returns:
        What is written: `rows` of the live era; `past_eras`, `first_era`, `last_era` that it is compared with, and the
        `error_rate` that they allow; `unlike_before`, a list of features with figure, usual, now, score and p_value,
        and `unlike`, how many there are in all; `exposure` (`max`, `rms`, and `features`, name to correlation with the
        predictions, the largest first); `previous_corr`, the correlation with `previous`, or None.
    """
    store = EraStore.open(job.store)
    ids, codes = _live(job)
    with one_blas_thread():
        found = _unlike(job, store, codes)
        told = {
            "rows": len(codes),
            **found,
            "exposure": _exposure(job, ids, codes),
            "previous_corr": _previous_corr(job, ids),
        }
    write_json(out / DRIFT, told)
    return told


def _live(job: DriftJob) -> tuple[pl.Series, Codes]:
    tiles = list(open_rows(job.live).tiles(job.features, most_rows=TILE_ROWS))
    if not tiles:
        return pl.Series("id", [], dtype=pl.String), np.zeros((0, len(job.features)), dtype=np.int8)
    return pl.concat([tile.ids for tile in tiles]), np.concatenate([tile.codes for tile in tiles])


def _unlike(job: DriftJob, store: EraStore, live: Codes) -> dict[str, Any]:
    eras = store.eras[-job.eras :]
    told: dict[str, Any] = {"past_eras": len(eras), "first_era": eras[0], "last_era": eras[-1], "error_rate": None}
    if len(eras) < LEAST_PAST_ERAS or len(live) == 0:
        return {**told, "unlike": 0, "unlike_before": []}
    along = directions(_sample(store, eras, job.features))
    past = np.stack([_past(store, eras, place, job.features, along) for place in range(len(eras))])
    rate = max(job.error_rate, 1 / (len(eras) + 1))
    found = unlike_before(past, behaviour(live, along), len(live), job.features, rate)
    return {
        **told,
        "error_rate": round(rate, 6),
        "unlike": len(found),
        "unlike_before": [asdict(each) for each in found[:KEPT]],
    }


def _sample(store: EraStore, eras: tuple[str, ...], features: tuple[str, ...]) -> Codes:
    """Rows of the past, as many of each era."""
    each = max(DIRECTION_ROWS // len(eras), 1)
    parts = (store.matrix([era], features) for era in eras)
    return np.concatenate([part[:: max(len(part) // each, 1)] for part in parts])


def _past(store: EraStore, eras: tuple[str, ...], place: int, features: tuple[str, ...], along: Figures) -> Figures:
    report(place, len(eras), f"how features behaved, era {place + 1} of {len(eras)}")
    return behaviour(np.asarray(store.matrix([eras[place]], features)), along)


def _exposure(job: DriftJob, ids: pl.Series, codes: Codes) -> dict[str, Any]:
    """Correlation of the predictions with each feature, as `numerai_tools.scoring.max_feature_correlation` has it."""
    if len(codes) == 0:
        return {"max": 0.0, "rms": 0.0, "features": dict.fromkeys(job.features[:KEPT], 0.0)}
    predicted = standardised(_predictions(job.predictions, ids)[:, None])[:, 0]
    correlations = predicted @ standardised(codes.astype(np.float64)) / len(codes)
    order = np.argsort(-np.abs(correlations), kind="stable")[:KEPT]
    return {
        "max": _rounded(np.abs(correlations).max(initial=0.0)),
        "rms": _rounded(np.sqrt(np.mean(correlations**2)) if len(correlations) else 0.0),
        "features": {job.features[place]: _rounded(correlations[place]) for place in order.tolist()},
    }


def _previous_corr(job: DriftJob, ids: pl.Series) -> float | None:
    """The rank correlation of this week's predictions and those of the ensemble before, of the same rows."""
    if job.previous is None or len(ids) < 2:
        return None
    ranks = [standardised(_ranked(_predictions(path, ids))[:, None])[:, 0] for path in (job.predictions, job.previous)]
    return _rounded(float(np.mean(ranks[0] * ranks[1])))


def _predictions(path: Path, ids: pl.Series) -> FloatArray:
    """Predictions in the order of the live rows."""
    frame = read_parquet(path).select("id", "prediction")
    return pl.DataFrame({"id": ids}).join(frame, on="id", how="left", maintain_order="left")["prediction"].to_numpy()


def _ranked(values: FloatArray) -> FloatArray:
    return pl.Series(values).rank("average").to_numpy().astype(np.float64)


def _rounded(value: float) -> float:
    return round(float(value), 6)


def read_drift(folder: Path) -> dict[str, Any]:
    """What `look_at_live` wrote."""
    found: dict[str, Any] = json.loads((folder / DRIFT).read_text(encoding="utf-8"))
    return found
