"""Predict a parquet file with an ensemble.

    python -m models.predict ENSEMBLE DATA OUT

runs in a process of its own, so that a second prediction can be compared with the first.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.errors import EraflowError
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.store.tiles import Piece, read_piece, tile_rows
from eraflow.tournament.eraindex import EraIndex, read_era_index
from eraflow.tournament.footer import check_feature_types, decoding, read_footer
from eraflow.tournament.ranking import EraGroups
from models.ensemble import Ensemble
from models.predictions import Predictions
from models.protocol import Codes
from models.rows import tiles

PREDICTIONS = "predictions.parquet"


def predict_live(*, out: str, ensemble: str, live: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The stage: `out/predictions.parquet` with the blended prediction of every live row; see `predict_file`."""
    return predict_file(ensemble=ensemble, data=live, out=str(Path(out) / PREDICTIONS), plan=plan)


def predict_file(*, ensemble: str, data: str, out: str, plan: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write id, era and prediction (the raw blend, float64) for every row of a parquet file, in its order.

    Only the ensemble's features are read, some thousand rows at a time. NaN and null features become 2. A file of no
    rows gives a file of no rows.

    Args:
        ensemble: folder of an ensemble.
        data: parquet file with an id (column or index), era and the features, in any order; live or validation.
        out: the file to write.
        plan: a Plan as a dictionary.

    Returns:
        rows, eras, members and the ensemble's signature.

    Raises:
        MissingFeatureError, BadFeatureValueError, FeatureTypeError: the features are not those it was trained on.
        MissingFileError, TruncatedFileError, MissingColumnError, NullEraError, UnorderedErasError: the file is damaged.
        DamagedEnsembleError: the ensemble folder is.
        StageNaN, ConstantPredictionsError: a member's predictions are of no use.
    """
    loaded = Ensemble.load(ensemble)
    chosen = Plan(**(plan or {}))
    footer = read_footer(data)
    loaded.check_features(footer.types)
    check_feature_types(footer, loaded.features)
    ids = _ids(footer.scan(), footer.require_id(), Path(data))
    index = read_era_index(footer)
    members = np.empty((footer.rows, len(loaded.members)))
    for rows, codes in _row_tiles(index, loaded.features, chosen.rows_in_memory):
        members[rows] = loaded.predict_members(codes, plan=chosen)
        report(rows.stop, footer.rows, "rows predicted")
    groups = EraGroups(index.offsets)
    Predictions(ids, index.eras, groups, loaded.blend(members, groups)).write(Path(out))
    return {
        "rows": footer.rows,
        "eras": len(index.eras),
        "members": list(loaded.members),
        "ensemble_signature": loaded.signature,
    }


def _row_tiles(index: EraIndex, features: Sequence[str], rows_in_memory: int) -> Iterator[tuple[slice, Codes]]:
    """The features in order as int8, tile by tile; every value is checked."""
    frame = index.footer.scan()
    rows = tile_rows(index.footer, features, rows_in_memory)
    for part in tiles(index.footer.rows, rows):
        (block,) = read_piece(index, frame, features, Piece(part.start, part.stop, by_columns=False), rows)
        yield part, block.codes


def _ids(frame: pl.LazyFrame, column: str, path: Path) -> npt.NDArray[Any]:
    with decoding(path):
        return frame.select(pl.col(column).cast(pl.String)).collect().to_series().to_numpy()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.predict", description="Predict a parquet file.")
    parser.add_argument("ensemble", help="folder of the ensemble")
    parser.add_argument("data", help="parquet file, live or validation")
    parser.add_argument("out", help="parquet file to write: id, era, prediction")
    parser.add_argument("--threads", type=int, default=Plan().threads)
    given = parser.parse_args(arguments)
    # Before a booster's library is loaded: waiting OpenMP threads then sleep instead of spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        predict_file(
            ensemble=given.ensemble, data=given.data, out=given.out, plan=Plan(threads=given.threads).as_dict()
        )
    except EraflowError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
