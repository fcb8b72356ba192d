"""Predict a file with an ensemble or a single model, in little memory.

    python -m models.prediction.predict ENSEMBLE DATA OUT

runs in a process of its own, so that a second prediction can be compared with the first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import ENVIRONMENT_FLAG
from models.base.leanimports import lean_imports, not_needed
from models.prediction.job import PredictJob
from models.prediction.predictor import kinds_in, load_predictor
from models.prediction.prefetch import Prefetch
from models.prediction.stream import predict_stream

PREDICTIONS = "predictions.parquet"


@stage_function(PredictJob)
def predict_live(job: PredictJob, out: Path, plan: Plan) -> dict[str, Any]:
    """The stage: `out/predictions.parquet` with the blended prediction of every live row; see `predict_file`."""
    return predict_file(ensemble=str(job.ensemble), data=str(job.live), out=str(out / PREDICTIONS), plan=plan.as_dict())


def predict_file(
    *,
    ensemble: str,
    data: str,
    out: str,
    plan: Mapping[str, Any] | None = None,
    features: str | None = None,
    prefetch: Prefetch = "off",
    oof_file: str | None = None,
) -> dict[str, Any]:
    """Predict every row of a file, era by era.

    Only the features asked for are decoded, an era (or some thousand rows of a large one) at a time, and each finished
    era is appended to a file beside `out` that gets its name at the end. A killed prediction goes on from there, and
    ends with the bytes of an undisturbed one; see `resumablefile`. NaN and null features become 2. A file of no rows
    gives a file of no rows.

    Args:
        ensemble: folder of an ensemble, or of a single saved model.
        data: parquet, or CSV, also packed by gzip or xz; it has an id (column or index), era and the features, in any
            order; live or validation.
        out: the file to write. A name that ends in .csv: id and prediction as Numerai takes them, see
            `outputs.SubmissionCsv`; one that ends in .parquet: id, era and the raw blend or a single model's
            raw predictions, float64, in the order of the data.
        plan: a Plan as a dictionary.
        features: JSON file with the feature names of a single model; see `models.prediction.predictor.load_predictor`.
        oof_file: where the run that made the models keeps its out-of-fold predictions; the output tells it.
        prefetch: read the next rows meanwhile: "on", "off", or "auto", which measures whether it pays.

    Returns:
        rows, eras, members, the ensemble's signature, `resumed_from`, the rows that were there already, or None, and
        what is told of the eras that are in-sample; see `models.prediction.stream.predict_stream`.

    Raises:
        EnsembleFeatureError, BadFeatureValueError, FeatureTypeError: the features are not those it was trained on.
        MissingFileError, TruncatedFileError, MissingColumnError, NullIdError, NullEraError, BadEraError,
        UnorderedErasError: the file is damaged.
        DamagedEnsembleError, DamagedModelError: the ensemble folder is.
        StageNaN, ConstantPredictionsError: a member's predictions are of no use.
        BadIdError, DuplicateIdsError: ids that cannot stand in a CSV.
        OutputBusyError, StorageError: the output cannot be written.
        SettingsError: the output is the data itself or has another ending, or nobody tells a single model's features.
    """
    # The child of a stage does nothing else; in any other process somebody may want pandas with the library later.
    alone = ENVIRONMENT_FLAG in os.environ
    with lean_imports(not_needed(kinds_in(ensemble))) if alone else contextlib.nullcontext():
        loaded = load_predictor(ensemble, Path(features) if features else None)
    origin = replace(loaded.origin, oof_file=oof_file)
    done = predict_stream(loaded, Path(data), Path(out), Plan(**(plan or {})), prefetch=prefetch, origin=origin)
    return {**done, "members": list(loaded.names), "ensemble_signature": loaded.signature}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.prediction.predict", description="Predict a parquet or CSV file."
    )
    parser.add_argument("ensemble", help="folder of the ensemble or of a single model")
    parser.add_argument("data", help="parquet or CSV file, live or validation")
    parser.add_argument("out", help="file to write: parquet with id, era, prediction, or a CSV of ranks")
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
