"""Predicting a file era by era, in memory that depends on an era: read a tile, predict it, append the finished era.

A member that needs whole eras is asked when the last tile of an era is there; until then the era's features are kept,
one byte a value, and twice that while the tiles are put together. Without such a member, and without neutralisation,
no more than a tile is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.erastore.tiles import TILE_BYTES
from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.rows.openrows import open_rows
from eraflow.rows.rowsource import RowSource, Tile, file_identity
from eraflow.scoring.insample import UNKNOWN, Origin, Standing
from models.base.protocol import Codes, FloatArray, check_predictions
from models.prediction.outputs import Output, output_for
from models.prediction.predictor import Predictor, library_versions
from models.prediction.prefetch import Prefetch, prefetched
from models.prediction.resumablefile import resumable_file

FORMAT = 2


@dataclass
class PredictionProgress:
    """How far a prediction is; what is noted beside the resumable file.

    Attributes:
        rows, eras: finished ones.
        low, high: of each member's raw predictions so far.
        learned, overlapping: eras that the members learned from, and others whose labels overlap with such.
        first_in_sample, last_in_sample: of both together; empty while there are none.
    """

    rows: int = 0
    eras: int = 0
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    learned: int = 0
    overlapping: int = 0
    first_in_sample: str = ""
    last_in_sample: str = ""

    def note(self, era: str, standing: Standing) -> None:
        """Count an era that is in-sample."""
        if standing == "out of sample":
            return
        self.learned += standing == "learned"
        self.overlapping += standing == "overlapping"
        self.first_in_sample = self.first_in_sample or era
        self.last_in_sample = era

    def add(self, members: FloatArray) -> None:
        """Count an era of raw predictions, float64[n, k]."""
        low, high = members.min(axis=0).tolist(), members.max(axis=0).tolist()
        self.low = list(map(min, self.low, low)) if self.eras else low
        self.high = list(map(max, self.high, high)) if self.eras else high
        self.rows, self.eras = self.rows + len(members), self.eras + 1

    def check(self, names: tuple[str, ...]) -> None:
        """Raise ConstantPredictionsError when all rows of a member have the same prediction."""
        for name, low, high in zip(names, self.low, self.high, strict=self.eras > 0):
            check_predictions(np.array([low, high])[: self.rows], name)


def predict_stream(
    predictor: Predictor,
    data: Path,
    out: Path,
    plan: Plan,
    *,
    prefetch: Prefetch = "off",
    origin: Origin = UNKNOWN,
) -> dict[str, Any]:
    """Predict every row of `data`; see `models.prediction.predict.predict_file`.

    Args:
        origin: what the members learned from; the output carries it.

    Returns:
        rows, eras, `resumed_from`: the rows that an earlier attempt had done, None where there was none; `origin_known`
        and `oof_file`; `in_sample`: how many eras the members learned from, how many more overlap with such, the first
        and the last.
    """
    if out.exists() and data.exists() and out.samefile(data):
        raise SettingsError(f"{out} is the data itself", "name another file for the predictions")
    output = output_for(out, origin)
    source = open_rows(data)
    predictor.check_features(source.columns)
    with resumable_file(out, _key(predictor, source, output, origin), output.head()) as file:
        course = PredictionProgress(**file.state)
        resumed_from = course.rows if file.resumed else None
        most_rows = max(1, min(plan.rows_in_memory, TILE_BYTES // max(1, len(predictor.features))))
        tiles = source.tiles(predictor.features, most_rows=most_rows, skip=course.rows, scratch=out.parent)
        for era in _eras(prefetched(tiles, prefetch, plan.threads), predictor, source, plan):
            members = era.members
            if predictor.needs_whole_eras:
                members = predictor.completed(members, era.codes(), plan=plan)
            course.add(members)
            course.note(era.label, origin.standing(era.label))
            values = predictor.finish(members, era.codes)
            file.append(output.era(era.label, era.ids, values), vars(course))
        course.check(predictor.names)
        file.note()
        output.finish(file, out)
    return {
        "rows": course.rows,
        "eras": course.eras,
        "resumed_from": resumed_from,
        "origin_known": origin.known,
        "oof_file": origin.oof_file,
        "in_sample": {
            "learned": course.learned,
            "overlapping": course.overlapping,
            "first_era": course.first_in_sample or None,
            "last_era": course.last_in_sample or None,
        },
    }


@dataclass
class _Era:
    """An era whose rows have all been read and predicted."""

    label: str
    parts: list[tuple[pl.Series, FloatArray, Codes | None]]

    @property
    def ids(self) -> pl.Series:
        return pl.concat([ids for ids, _, _ in self.parts]) if len(self.parts) > 1 else self.parts[0][0]

    @property
    def members(self) -> FloatArray:
        return np.concatenate([members for _, members, _ in self.parts])

    def codes(self) -> Codes:
        """int8[n, f] of the whole era, for a predictor that looks at it; put together once."""
        kept = [codes for _, _, codes in self.parts if codes is not None]
        if len(kept) == 1:
            return kept[0]
        whole = np.concatenate(kept)
        self.parts = [(self.ids, self.members, whole)]
        return whole


def _eras(tiles: Iterator[Tile], predictor: Predictor, source: RowSource, plan: Plan) -> Iterator[_Era]:
    """Predict tile by tile and give each era when its last row is there.

    The features of an era are kept until then only for who looks at the era as a whole.
    """
    keeps = predictor.keeps_codes or predictor.needs_whole_eras
    era: _Era | None = None
    for tile in tiles:
        if era is not None and era.label != tile.era:
            yield era
            era = None
        era = era or _Era(tile.era, [])
        members = predictor.predict_members(tile.codes, plan=plan)
        era.parts.append((tile.ids, members, tile.codes if keeps else None))
        report(tile.done, tile.total, f"{source.unit} predicted, era {tile.era}")
    if era is not None:
        yield era


def _key(predictor: Predictor, source: RowSource, output: Output, origin: Origin) -> Mapping[str, Any]:
    """What a leftover must have been made from to be continued."""
    return {
        "format": FORMAT,
        "input": file_identity(source.path),
        "predictor": predictor.signature,
        "output": output.name,
        "origin": origin.as_dict(),
        "versions": library_versions(),
    }
