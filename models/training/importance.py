"""How much each feature matters to a trained model, by blocks of judged eras: gain, SHAP and permutation.

Made in the fold, while its model is alive and on eras that it never saw, so every figure is out of fold save gain,
which is the model's own account of its training.

- gain: share of the loss that the splits on a feature saved while training (CatBoost: its PredictionValuesChange, how
  much a prediction changes when the feature does). One figure a fold.
- shap: share of the mean absolute SHAP value (Lundberg, Lee, NeurIPS 2017), by the library's own TreeSHAP.
- permutation: CORR lost, mean over the sampled eras, when the feature's values are exchanged among the rows of an era;
  only for the features with the largest SHAP values (without SHAP: the largest gain).

All of it on a seeded sample of rows, so memory and time are bounded whatever the size of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.discovery.drift import Drift, block_of
from eraflow.disk.atomic import atomic_path
from eraflow.disk.plainpaths import read_parquet
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from models.base.predictions import OutOfFoldFileError
from models.base.protocol import Codes, Explained, FloatArray, Model
from models.base.wholeeras import needs_whole_eras, predict_in_eras
from models.compression.codedstore import LearntRows

MEASURES = ("gain", "shap", "permutation")
SAMPLED_ERAS = 8
"""Eras of a block from which rows are drawn."""
LEAST_ROWS = 10
"""Of an era; a CORR of fewer says nothing."""
PERMUTED = 20
"""Features of a block whose permutation is measured."""
PERMUTED_WITHOUT_RANK = 800
"""A model that ranks no features has all of them permuted, when they are not more than this."""
LEAST_SHAP_ROWS = 16
MOST_STEPS = 1_000_000_000
"""Of TreeSHAP in a fold (a step took 1 to 8 nanoseconds with the three libraries): larger models get fewer rows."""


@dataclass(frozen=True)
class Sample:
    """Rows of one block.

    Attributes:
        block: its name.
        codes: int8[n, f], all features of the store.
        target: float64[n].
        groups: the sampled eras.
    """

    block: str
    codes: Codes
    target: FloatArray
    groups: EraGroups


def write_fold_importance(
    out: Path,
    position: int,
    model: Model,
    store: LearntRows,
    target: str,
    eras: Sequence[str],
    *,
    rows: int,
    seed: int,
    plan: Plan,
) -> Path | None:
    """Measure a fold's model on its judged eras and write `out/importance-<position>.parquet`.

    Columns: block, feature, gain, shap, permutation (NaN where not measured); one row for each block and each feature
    that the model uses.

    Args:
        out: folder of the training stage.
        position: of the fold.
        model: as fitted in this fold.
        store: the data.
        target: a column of the store; rows where it is not known are not sampled.
        eras: the fold's judged eras.
        rows: sampled of each block at the most; 0 measures nothing.
        seed: of the run.
        plan: how to use the machine.

    Returns:
        The file, or None when nothing was to be measured.
    """
    whole = needs_whole_eras(model)
    samples = list(_samples(store, target, eras, rows, [seed], whole=whole)) if rows else []
    if not samples:
        return None
    columns = getattr(model, "columns", None)
    used = np.arange(len(store.features)) if columns is None else np.asarray(columns, dtype=np.int64)
    frames = [_measure(model, sample, used, _shap_rows(model, len(samples)), plan, seed) for sample in samples]
    names = [store.features[place] for place in used]
    path = importance_file(out, position)
    with atomic_path(path) as temporary:
        pl.concat([frame.insert_column(1, pl.Series("feature", names)) for frame in frames]).write_parquet(
            temporary, compression="zstd"
        )
    return path


def importance_file(out: Path, position: int) -> Path:
    """Where the importance in a fold lies."""
    return out / f"importance-{position}.parquet"


def read_importance(folder: Path) -> dict[str, Drift]:
    """What the folds of a training stage wrote, as measure -> figures of features over blocks; empty without any.

    A block that lies in two folds has the mean of both.

    Raises:
        OutOfFoldFileError: a file cannot be read.
    """
    files = sorted(folder.glob("importance-*.parquet"))
    try:
        frames = [read_parquet(path) for path in files]
        if not frames:
            return {}
        table = pl.concat(frames).fill_nan(None).group_by("block", "feature", maintain_order=True).mean()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OutOfFoldFileError(f"importances in {folder} cannot be read: {error}", "train again") from error
    features, blocks = table["feature"].unique(maintain_order=True), sorted(table["block"].unique())
    wide = {
        measure: pl.DataFrame({"feature": features}).join(
            table.pivot("block", index="feature", values=measure), on="feature", how="left", maintain_order="left"
        )
        for measure in MEASURES
    }
    return {
        measure: Drift(tuple(features), tuple(blocks), frame.select(blocks).to_numpy().astype(np.float64))
        for measure, frame in wide.items()
        if any(frame[block].is_not_null().any() for block in blocks)
    }


def _samples(
    store: LearntRows, target: str, eras: Sequence[str], rows: int, seed: Sequence[int], *, whole: bool = False
) -> Iterator[Sample]:
    """Rows of a few eras of each block, drawn without looking at the data; with `whole`, as many whole eras as fit."""
    blocks: dict[str, list[str]] = {}
    for era in eras:
        blocks.setdefault(block_of(era), []).append(era)
    for block, members in blocks.items():
        most = max(1, rows // max(int(store.offsets(members)[-1]) // len(members), 1)) if whole else SAMPLED_ERAS
        places = np.unique(np.linspace(0, len(members) - 1, min(most, SAMPLED_ERAS, len(members))).round().astype(int))
        each = max(LEAST_ROWS, rows // len(places))
        drawn = [
            (store.matrix([members[place]]), store.column(target, [members[place]]))
            if whole
            else _rows_of(store, target, members[place], each, [*seed, int(members[place])])
            for place in places
        ]
        drawn = [(codes, values) for codes, values in drawn if len(values) >= LEAST_ROWS]
        if drawn:
            codes, values = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
            yield Sample(block, codes, values, EraGroups.from_sizes(len(part[1]) for part in drawn))


def _rows_of(store: LearntRows, target: str, era: str, count: int, seed: Sequence[int]) -> tuple[Codes, FloatArray]:
    values = store.column(target, [era])
    known = np.flatnonzero(np.isfinite(values))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(known, min(count, len(known)), replace=False))
    return store.matrix([era])[rows], values[rows]


def _measure(
    model: Model, sample: Sample, used: npt.NDArray[np.int64], rows: int, plan: Plan, seed: int
) -> pl.DataFrame:
    gain, shap = np.full(len(used), np.nan), np.full(len(used), np.nan)
    if isinstance(model, Explained):
        gain = _shares(model.gain())
        if rows >= LEAST_SHAP_ROWS:
            picked = np.unique(np.linspace(0, len(sample.codes) - 1, min(rows, len(sample.codes))).round().astype(int))
            tile = np.ascontiguousarray(sample.codes[picked][:, used])
            contributions = model.contributions(tile, plan.threads)
            shap = _shares(np.abs(contributions[:, : len(used)]).mean(axis=0))
    permuted = _permuted(gain, shap)
    lost = np.full(len(used), np.nan)
    lost[permuted] = _corr_lost(model, sample, used[permuted], plan, seed)
    block = pl.Series("block", [sample.block] * len(used))
    return pl.DataFrame({"block": block, "gain": gain, "shap": shap, "permutation": lost})


def _shap_rows(model: Model, blocks: int) -> int:
    """Rows of each block that the steps of SHAP allow."""
    return int(MOST_STEPS // max(1, model.contribution_steps() * blocks)) if isinstance(model, Explained) else 0


def _permuted(gain: FloatArray, shap: FloatArray) -> npt.NDArray[np.int64]:
    """Which features are permuted."""
    rank = shap if np.isfinite(shap).any() else gain
    if not np.isfinite(rank).any():
        return np.arange(len(rank) if len(rank) <= PERMUTED_WITHOUT_RANK else 0)
    order = np.argsort(-np.nan_to_num(rank), kind="stable")[:PERMUTED]
    return np.asarray(order[rank[order] > 0])


def _corr_lost(model: Model, sample: Sample, columns: npt.NDArray[np.int64], plan: Plan, seed: int) -> FloatArray:
    """Mean CORR as it is, less that with each column permuted within the eras; the same permutation for all."""
    rng = np.random.default_rng([seed, 97])
    offsets = sample.groups.offsets
    order = np.concatenate([start + rng.permutation(stop - start) for start, stop in pairwise(offsets.tolist())])
    whole = _mean_corr(model, sample, sample.codes, plan)
    lost = []
    for column in columns:
        changed = sample.codes.copy()
        changed[:, column] = sample.codes[order, column]
        lost.append(whole - _mean_corr(model, sample, changed, plan))
    return np.array(lost, dtype=np.float64)


def _mean_corr(model: Model, sample: Sample, codes: Codes, plan: Plan) -> float:
    predictions = predict_in_eras(model, codes, sample.groups.offsets, plan=plan)
    scores = era_corr(predictions, sample.target, sample.groups)
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if known.size else np.nan


def _shares(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return values / total if total > 0 else np.zeros(len(values))
