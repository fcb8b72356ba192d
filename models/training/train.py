"""The stage that trains one model: out of fold on every window, then once on everything for live."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import Window, era_number, target_purge
from eraflow.data.membereras import Member
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.reports.graphfile import FeatureGraph, write_graph
from eraflow.scoring.insample import write_learned
from models.base.predictions import Predictions, join
from models.base.protocol import Model, ProgressFn
from models.kinds import make_model
from models.training.folds import JudgedFold, LeakingWindowError, adaptation_of, fold_of, write_model_curves
from models.training.job import KeptFolds, TrainJob
from models.training.learningplan import learning_plan
from models.training.trainer import CHECKPOINTS, Trainer, own_purge

OOF = "oof.parquet"
MODEL_FOLDER = "model"


@stage_function(TrainJob)
def train_model(job: TrainJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Write `oof.parquet` (every judged era, predicted by a model that never saw it) and `model/` (for live).

    Each fold is written as it finishes, `fold-<i>.parquet` and `fold-<i>.json`, and found again by a later attempt,
    also by one whose plan learns in another way (a lower rate, fewer trees): `fold_plans` tells how each was made.
    A fold that an earlier week left in the home is taken from there; its bytes are those it would have if it were made.
    The importance of features to each fold's model is in `importance-<i>.parquet`, measured on the judged eras.
    How networks learnt is in `learning-<i>.csv` and `learning-live.csv`, the graph of one that has one in `graph.csv`.
    Checkpoints inside a fit lie in `checkpoints/` until the stage is finished.

    Returns:
        Figures for tables: folds, how many of them were found in the home (`folds_kept`) and what their training had
        taken (`seconds_saved`); rows, eras, seconds of each fold and of the final fit; `fold_plans` and `final_plan`,
        what of the plan changed the results of each ("as asked" as a rule); `learns` and `purge_weeks`; `features`, how
        many each fold and the final fit use; `params` as they were given.

    Raises:
        ModelSettingsError, LeakingWindowError, SelectionFileError, TrainingDataError, StageNaN,
        ConstantPredictionsError.
    """
    member = job.member
    trainer = Trainer(
        out, EraStore.open(job.store), member, job.seed, plan, job.bins, job.importance, job.bases, code=job.code
    )
    # A wrong parameter ends the stage before any work.
    make_model(member.kind, member.params, source=member.source, parts=trainer.bag_parts(len(member.windows)))
    for window in member.windows:
        for target in (member.target, *member.also):
            _check_window(window, target)
    widths = [_width(trainer, position) for position in range(len(member.windows) + 1)]
    shares = np.cumsum([0, *(len(window.train) for window in member.windows), len(member.final_eras)])
    folds = [_fold(trainer, shares, position, job.folds) for position in range(len(member.windows))]
    oof = join([fold.predictions for fold in folds])
    oof.write(out / OOF)
    seconds, live = _fit_for_live(trainer, shares, _live_length(folds))
    adaptation = {"adaptation": {"windows": [fold.adaptation for fold in folds], "live": live}} if live else {}
    return {
        **_told(member, folds, oof),
        **adaptation,
        "final_plan": learning_plan(plan),
        "final_seconds": seconds,
        "features": widths,
    }


def _told(member: Member, folds: Sequence[JudgedFold], oof: Predictions) -> dict[str, Any]:
    return {
        "folds": len(folds),
        "folds_reused": sum(fold.reused for fold in folds),
        "folds_kept": sum(fold.kept for fold in folds),
        "seconds_saved": round(sum(fold.seconds for fold in folds if fold.kept), 2),
        "fold_seconds": [fold.seconds for fold in folds],
        "fold_plans": [fold.plan for fold in folds],
        "rows": len(oof.values),
        "eras": len(oof.eras),
        "first_era": oof.eras[0],
        "last_era": oof.eras[-1],
        "final_eras": len(member.final_eras),
        "learns": member.learns,
        "purge_weeks": member.windows[0].purge_weeks,
        "params": member.params,
        **({} if member.bag is None else {"bag": member.bag.in_words()}),
    }


def _live_length(folds: Sequence[JudgedFold]) -> float | None:
    """The model for live has no later eras to stop by: it takes the median length of its windows' networks."""
    lengths = [length for fold in folds for length in fold.lengths]
    return median(lengths) if lengths else None


def _fit_for_live(
    trainer: Trainer, shares: npt.NDArray[np.int64], length: float | None
) -> tuple[float, dict[str, Any]]:
    """Fit on everything and save; gives the seconds, and what is told of an adaptation."""
    began, member = time.monotonic(), trainer.member
    position, folder = len(member.windows), trainer.out / MODEL_FOLDER
    with trainer.seeing(position) as seeing:
        final = seeing.fit(member.final_eras, position, _share_of(shares, position, f"{member.name} for live"), length)
    shutil.rmtree(folder, ignore_errors=True)
    trainer.with_encoder(final, position).save(folder)
    write_model_curves(trainer, None, final)
    _write_graph(trainer, final)
    write_learned(folder, member.final_eras, own_purge(member))
    shutil.rmtree(trainer.out / CHECKPOINTS, ignore_errors=True)  # they are no part of what the stage made
    return round(time.monotonic() - began, 2), adaptation_of(final)


def _width(trainer: Trainer, position: int) -> int:
    columns = trainer.columns(position)
    return len(trainer.features) if columns is None else len(columns)


def _fold(trainer: Trainer, shares: npt.NDArray[np.int64], position: int, kept: KeptFolds | None) -> JudgedFold:
    """A fold, found or made."""
    label = f"{trainer.member.name} fold {position + 1} of {len(trainer.member.windows)}"
    progress = _share_of(shares, position, label)
    fold = fold_of(trainer, position, progress, kept)
    progress(1, 1, "")
    return fold


def _write_graph(trainer: Trainer, model: Model) -> None:
    """The graph over the features that a model uses; one that has none writes nothing."""
    edges = getattr(model, "feature_edges", None)
    if edges is None:
        return
    used = getattr(model, "columns", None) or range(len(trainer.store.features))
    write_graph(trainer.out, FeatureGraph(tuple(trainer.store.features[at] for at in used), tuple(edges)))


def _check_window(window: Window, target: str) -> None:
    """The last line of defence against leakage: look at the eras themselves, and at what the target's name says."""
    last, first, purge = window.train[-1], window.test[0], window.purge_weeks
    least = target_purge(target, purge)
    if purge < least:
        raise LeakingWindowError(
            f"window {window.index} has a purge of {purge} weeks, {target} needs at least {least}",
            "cut the windows of this member with eraflow.data.eras.windows_before",
        )
    if max(map(era_number, window.train)) + purge >= min(map(era_number, window.test)):
        raise LeakingWindowError(
            f"window {window.index} learns up to era {last} and is judged from {first} on, purge {purge} weeks",
            "cut the windows with eraflow.data.eras.walk_forward",
        )


def _share_of(shares: npt.NDArray[np.int64], position: int, label: str) -> ProgressFn:
    """Progress of one fit as its share of the stage, in percent; a fit counts as many parts as it has eras.

    The label speaks of the fit, so its own count stands in brackets: `lightgbm fold 1 of 5 (63 of 200 trees)`, or of a
    bag `(63% of 9 fits)`.
    """
    start, stop = shares[position] / shares[-1], shares[position + 1] / shares[-1]

    def progress(done: int, total: int, unit: str) -> None:
        count = str(done) if unit.startswith("%") else f"{done} of {total} "
        detail = f" ({count}{unit})" if unit else ""
        report(round(100 * (start + (stop - start) * done / total), 2), 100, label + detail)

    return progress
