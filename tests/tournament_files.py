"""Tiny tournament folders for tests, whole or damaged on demand.

    files = write_tournament(tmp_path, damage="value_7")
    found = DataFiles.in_folder(files.folder)
    contract = check_contract(found, files.settings(), read_catalog(found.features_json))

Everything is drawn from one seed, so the same arguments give the same numbers. The features carry a weak signal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.settings.data import DataSettings

TARGETS = ("target_ender_20", "target_ender_60", "target_jasper_60")
BENCHMARKS = ("v53_lgbm_ender20", "v53_lgbm_ender60")
DAMAGES = (
    "truncated",
    "renamed_feature",
    "missing_feature",
    "value_7",
    "value_7_hidden",  # the same without statistics in the footer
    "negative_value",
    "duplicate_id",
    "duplicate_id_across",
    "unordered_eras",
    "scattered_era",
    "null_era",
    "null_id",
    "absent_target",
    "broken_features_json",
    "overlapping_eras",
)


@dataclass
class TournamentFiles:
    """A folder in tournament layout and what was written there."""

    folder: Path
    features: tuple[str, ...]
    frames: dict[str, pd.DataFrame] = field(repr=False)

    def settings(self, **values: Any) -> DataSettings:
        return DataSettings(**{"target": "target_ender_60", "features": "all", **values})

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


def write_tournament(
    folder: Path,
    *,
    train_eras: int = 30,
    validation_eras: int = 20,
    rows: int = 12,
    features: int = 6,
    row_groups: str | int = "era",
    id_as: str = "index",
    feature_dtype: str = "int8",
    live_rows: int | None = None,
    live_era: str = "X",
    benchmark_from: int = 5,
    meta_model_from: int | None = None,
    unresolved_eras: int = 13,
    statistics: bool = True,
    damage: str | None = None,
    seed: int = 0,
) -> TournamentFiles:
    """Write train, validation, live, benchmark, meta-model and features.json files.

    Args:
        row_groups: "era" (one for each era), "one", or a number of rows.
        id_as: "index", "column" or "unnamed" (an unnamed pandas index).
        feature_dtype: "int8", "int64", "float32" (with some NaN).
        unresolved_eras: last eras of validation without a 60-day target; the last 4 of them have data_type test.
        damage: one of DAMAGES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = tuple(f"feature_{word}_{i}" for i, word in zip(range(features), _words(), strict=False))
    total = train_eras + validation_eras
    data = _frame(rng, np.repeat([f"{era:04d}" for era in range(1, total + 1)], rows), names, feature_dtype)
    _mark(data, train_eras, total, unresolved_eras)
    live = _frame(rng, np.repeat([live_era], rows if live_rows is None else live_rows), names, feature_dtype)
    live = live.drop(columns=[name for name in live if name.startswith("target")]).assign(data_type="live")
    begin = train_eras + validation_eras // 2 if meta_model_from is None else meta_model_from
    frames = _frames(rng, data, live, train_eras, benchmark_from, begin)
    damaged_frames(frames, names, damage)
    for name, frame in frames.items():
        plain = damage == "value_7_hidden" or not statistics
        write_parquet(frame, folder / f"{name}.parquet", row_groups=row_groups, id_as=id_as, statistics=not plain)
    (folder / "features.json").write_text(
        json.dumps(_catalog(names))[: 40 if damage == "broken_features_json" else None]
    )
    if damage == "truncated":
        content = (folder / "validation.parquet").read_bytes()
        (folder / "validation.parquet").write_bytes(content[: len(content) * 2 // 3])
    return TournamentFiles(folder, names, frames)


def _mark(data: pd.DataFrame, train_eras: int, total: int, unresolved_eras: int) -> None:
    """Say which eras are train, validation and test, and take away the targets that nobody knows yet."""
    number = data["era"].astype(int).to_numpy()
    data["data_type"] = np.where(number <= train_eras, "train", "validation")
    data.loc[number > total - min(4, unresolved_eras), "data_type"] = "test"
    data.loc[number > total - unresolved_eras, [name for name in data if name.endswith("_60")]] = np.nan
    data.loc[number > total - min(4, unresolved_eras), [name for name in data if name.startswith("target")]] = np.nan


def _frames(
    rng: np.random.Generator, data: pd.DataFrame, live: pd.DataFrame, train_eras: int, benchmark_from: int, begin: int
) -> dict[str, pd.DataFrame]:
    """What each parquet file holds; the meta model begins at era `begin`."""
    number = data["era"].astype(int).to_numpy()
    frames = {"train": data[number <= train_eras], "validation": data[number > train_eras], "live": live}
    benchmark = _ranked(rng, data, BENCHMARKS)[number >= benchmark_from]
    frames["train_benchmark_models"] = benchmark[benchmark["era"].astype(int) <= train_eras]
    frames["validation_benchmark_models"] = benchmark[benchmark["era"].astype(int) > train_eras]
    frames["live_benchmark_models"] = _ranked(rng, live, BENCHMARKS)
    frames["meta_model"] = _ranked(rng, data, ("numerai_meta_model",))[number >= begin]
    return frames


def _catalog(names: tuple[str, ...]) -> dict[str, Any]:
    """What features.json holds."""
    medium = names[: max(2, len(names) // 2)]
    return {
        "feature_stats": {},
        "feature_sets": {"small": list(names[:2]), "medium": list(medium), "all": list(names)},
        "targets": ["target", *TARGETS],
    }


def damaged_frames(frames: dict[str, pd.DataFrame], names: tuple[str, ...], damage: str | None) -> None:
    """Apply `damage` to the frames in place; most of it to validation."""
    assert damage is None or damage in DAMAGES, damage
    frame = frames["validation"] = frames["validation"].copy()
    row = len(frame) // 2
    index = frame.index.to_list()
    if damage == "renamed_feature":
        frames["validation"] = frame.rename(columns={names[1]: names[1] + "x"})
    elif damage == "missing_feature":
        frames["live"] = frames["live"].drop(columns=names[1])
    elif damage in ("value_7", "value_7_hidden", "negative_value"):
        frame.iloc[row, frame.columns.get_loc(names[1])] = -1 if damage == "negative_value" else 7
    elif damage in ("duplicate_id", "duplicate_id_across"):
        index[row] = index[0] if damage == "duplicate_id" else frames["train"].index[3]
        frame.index = pd.Index(index, name="id")
    elif damage == "null_id":
        index[row] = None
        frame.index = pd.Index(index, name="id")
    elif damage == "unordered_eras":
        frames["validation"] = frame.sort_values("era", ascending=False, kind="stable")
    elif damage == "scattered_era":
        frames["validation"] = pd.concat([frame.iloc[1:], frame.iloc[:1]])
    elif damage == "null_era":
        frame.iloc[row, frame.columns.get_loc("era")] = None
    elif damage == "absent_target":
        frames["validation"] = frame.drop(columns="target_ender_60")
    elif damage == "overlapping_eras":
        frame["era"] = frame["era"].replace(frame["era"].iloc[0], frames["train"]["era"].iloc[-1])


def write_parquet(
    frame: pd.DataFrame,
    path: Path,
    *,
    row_groups: str | int = "era",
    id_as: str = "index",
    statistics: bool = True,
) -> None:
    """Write one frame the way the tournament does, or one of the ways it might."""
    if id_as == "column":
        frame = frame.reset_index()
    elif id_as == "unnamed":
        frame = frame.rename_axis(None)
    table = pa.Table.from_pandas(frame, preserve_index=id_as != "column")
    runs = (frame["era"] != frame["era"].shift()).to_numpy().nonzero()[0] if "era" in frame else np.array([0])
    size = len(frame) if row_groups == "one" else row_groups
    starts = runs if size == "era" else np.arange(0, len(frame), max(1, int(size)))
    stops = [*starts[1:].tolist(), len(frame)][: len(starts)]
    with pq.ParquetWriter(path, table.schema, compression="zstd", write_statistics=statistics) as writer:
        for start, stop in zip(starts.tolist(), stops, strict=True):
            writer.write_table(table.slice(start, stop - start), row_group_size=max(1, stop - start))


def _words() -> list[str]:
    return [a + b for a in ("agile", "brisk", "calm", "dusky") for b in ("", "er", "est", "ish", "ly")] * 200


def _frame(rng: np.random.Generator, eras: np.ndarray, names: tuple[str, ...], dtype: str) -> pd.DataFrame:
    n = len(eras)
    codes = rng.integers(0, 5, (n, len(names)))
    index = pd.Index([f"n{rng.integers(0, 2**60):015x}" for _ in range(n)], name="id")
    frame = pd.DataFrame(codes.astype(dtype), columns=list(names), index=index)
    if n and dtype.startswith("float"):
        frame[names[0]] = frame[names[0]].mask(rng.random(n) < 0.3)
        frame.loc[eras == eras[0], names[-1]] = np.nan
    if n and not dtype.startswith("float"):
        frame.loc[eras == eras[0], names[-1]] = 2  # "missing": 2 for the whole era
    frame.insert(0, "era", eras.astype(object))
    frame.insert(1, "data_type", "")
    for target in TARGETS:
        raw = (codes[:, 0] - 2) * 0.3 + rng.standard_normal(n)
        frame[target] = (np.digitize(raw, [-1.6, -0.7, 0.7, 1.6]) / 4).astype("float32")
    frame.insert(len(names) + 2, "target", frame["target_ender_60"])
    return frame


def _ranked(rng: np.random.Generator, data: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    signal = data.filter(like="feature_").iloc[:, 0].fillna(2).to_numpy(dtype=float)
    ranks = {name: (pd.Series(signal + rng.standard_normal(len(data))).rank(pct=True)) for name in columns}
    values = {name: series.to_numpy(dtype="float32") for name, series in ranks.items()}
    return pd.DataFrame({"era": data["era"], **values}, index=data.index)
