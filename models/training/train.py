"""The stage that trains one model: out of fold on every window, then once on everything for live."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import Window, era_number, target_purge
from eraflow.data.membereras import Member
from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.reports.graphfile import FeatureGraph, write_graph
from eraflow.reports.learningcurve import write_curves
from eraflow.scoring.insample import write_learned
from models.base.predictions import OutOfFoldFileError, Predictions, join, read_out_of_fold
from models.base.protocol import Model, ProgressFn
from models.kinds import make_model
from models.training.job import TrainJob
from models.training.trainer import CHECKPOINTS, Trainer, own_purge

OOF = "oof.parquet"
MODEL_FOLDER = "model"
LEARNING = ("rate_factor", "clip_norm", "precision", "work_factor")
AS_ASKED = "as asked"


class LeakingWindowError(EraflowError):
    """A window learns from eras that lie within the purge of, or after, those it is judged on."""

    code = "leaking_window"


@dataclass(frozen=True)
class _Fold:
    """A judged window.

    Attributes:
        predictions: of its judged eras.
        seconds: of its fit.
        plan: what its plan changed.
        reused: whether an earlier attempt made it.
        lengths: of each of the model's networks, the share of the planned updates after which it was best; of other
            models none.
        adaptation: of a model that adapts a base, see `models.networks.transformer`; of others empty.
    """

    predictions: Predictions
    seconds: float
    plan: str
    reused: bool
    lengths: tuple[float, ...] = ()
    adaptation: dict[str, Any] = field(default_factory=dict)


@stage_function(TrainJob)
def train_model(job: TrainJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Write `oof.parquet` (every judged era, predicted by a model that never saw it) and `model/` (for live).

    Each fold is written as it finishes, `fold-<i>.parquet` and `fold-<i>.json`, and found again by a later attempt,
    also by one whose plan learns in another way (a lower rate, fewer trees): `fold_plans` tells how each was made.
    The importance of features to each fold's model is in `importance-<i>.parquet`, measured on the judged eras.
    How networks learnt is in `learning-<i>.csv` and `learning-live.csv`, the graph of one that has one in `graph.csv`.
    Checkpoints inside a fit lie in `checkpoints/` until the stage is finished.

    Returns:
        Figures for tables: folds, rows, eras, seconds of each fold and of the final fit; `fold_plans` and `final_plan`,
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
    make_model(member.kind, member.params, source=member.source)  # a wrong parameter ends the stage before any work
    for window in member.windows:
        for target in (member.target, *member.also):
            _check_window(window, target)
    widths = [_width(trainer, position) for position in range(len(member.windows) + 1)]
    shares = np.cumsum([0, *(len(window.train) for window in member.windows), len(member.final_eras)])
    folds = [_fold(trainer, shares, position) for position in range(len(member.windows))]
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


def _told(member: Member, folds: Sequence[_Fold], oof: Predictions) -> dict[str, Any]:
    return {
        "folds": len(folds),
        "folds_reused": sum(fold.reused for fold in folds),
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
    }


def _live_length(folds: Sequence[_Fold]) -> float | None:
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
    _write_curves(trainer, None, final)
    _write_graph(trainer, final)
    write_learned(folder, member.final_eras, own_purge(member))
    shutil.rmtree(trainer.out / CHECKPOINTS, ignore_errors=True)  # they are no part of what the stage made
    return round(time.monotonic() - began, 2), _adaptation(final)


def _width(trainer: Trainer, position: int) -> int:
    columns = trainer.columns(position)
    return len(trainer.features) if columns is None else len(columns)


def _fold(trainer: Trainer, shares: npt.NDArray[np.int64], position: int) -> _Fold:
    """A fold, kept or made."""
    label = f"{trainer.member.name} fold {position + 1} of {len(trainer.member.windows)}"
    progress = _share_of(shares, position, label)
    fold = _kept_fold(trainer, position) or _make_fold(trainer, position, progress)
    progress(1, 1, "")
    return fold


def _make_fold(trainer: Trainer, position: int, progress: ProgressFn) -> _Fold:
    began, window = time.monotonic(), trainer.member.windows[position]
    with trainer.seeing(position) as seeing:
        model = seeing.fit(window.train, position, progress)
        _check_base(model, window)
        predictions = seeing.predict(model, window.test)
        path = predictions.write(_fold_path(trainer, position))
        seeing.measure(model, window.test, position)
    _write_curves(trainer, position, model)
    seconds, plan = round(time.monotonic() - began, 2), learning_plan(trainer.plan)
    fold = _Fold(predictions, seconds, plan, False, _lengths(model), _adaptation(model))
    note: dict[str, Any] = {"signature": trainer.fold_signature(position), "sha256": file_sha256(path)}
    note |= {"seconds": fold.seconds, "plan": fold.plan, "lengths": fold.lengths}
    write_json(path.with_suffix(".json"), {**note, **({"adaptation": fold.adaptation} if fold.adaptation else {})})
    shutil.rmtree(trainer.checkpoints(window.train, position), ignore_errors=True)
    return fold


def _lengths(model: Model) -> tuple[float, ...]:
    return tuple(getattr(model, "lengths", ()))


def _adaptation(model: Model) -> dict[str, Any]:
    return {**getattr(model, "adaptation", {}), **getattr(model, "adaptation_told", {})}


def _write_curves(trainer: Trainer, fold: int | None, model: Model) -> None:
    """How each of the model's networks learnt; a model that does not learn by updates has nothing to tell."""
    curves = getattr(model, "curves", ())
    write_curves(trainer.out, fold, [[(one.update, one.loss, one.corr) for one in curve] for curve in curves])


def _write_graph(trainer: Trainer, model: Model) -> None:
    """The graph over the features that a model uses; one that has none writes nothing."""
    edges = getattr(model, "feature_edges", None)
    if edges is None:
        return
    used = getattr(model, "columns", None) or range(len(trainer.store.features))
    write_graph(trainer.out, FeatureGraph(tuple(trainer.store.features[at] for at in used), tuple(edges)))


def learning_plan(plan: Plan) -> str:
    """What of a plan changes what is learnt: "rate_factor 0.3, clip_norm 1.0"; "as asked" when nothing does."""
    usual, values = Plan().as_dict(), plan.as_dict()
    changed = [f"{name} {values[name]}" for name in LEARNING if values[name] != usual[name]]
    return ", ".join(changed) or AS_ASKED


def _kept_fold(trainer: Trainer, position: int) -> _Fold | None:
    """The fold that an earlier attempt finished, or None when it has to be made."""
    path = _fold_path(trainer, position)
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if note["signature"] == trainer.fold_signature(position) and note["sha256"] == file_sha256(path):
            seconds, plan, lengths = float(note["seconds"]), str(note["plan"]), tuple(map(float, note["lengths"]))
            return _Fold(read_out_of_fold(path), seconds, plan, True, lengths, dict(note.get("adaptation", {})))
    except (OSError, ValueError, KeyError, TypeError, OutOfFoldFileError):
        return None
    return None


def _fold_path(trainer: Trainer, position: int) -> Path:
    return trainer.out / f"fold-{position}.parquet"


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


def _check_base(model: Model, window: Window) -> None:
    """A base, wherever it was trained, serves only windows that begin after its last era and the purge."""
    last = _adaptation(model).get("base_last_era")
    if last is not None and era_number(last) + window.purge_weeks >= era_number(window.test[0]):
        raise LeakingWindowError(
            f"window {window.index} is judged from era {window.test[0]} on, purge {window.purge_weeks} weeks, and its "
            f"base has learnt up to era {last}",
            "remove cache/bases from the home folder",
        )


def _share_of(shares: npt.NDArray[np.int64], position: int, label: str) -> ProgressFn:
    """Progress of one fit as its share of the stage, in percent; a fit counts as many parts as it has eras.

    The label speaks of the fit, so its own count stands in brackets: `lightgbm fold 1 of 5 (63 of 200 trees)`.
    """
    start, stop = shares[position] / shares[-1], shares[position + 1] / shares[-1]

    def progress(done: int, total: int, unit: str) -> None:
        detail = f" ({done} of {total} {unit})" if unit else ""
        report(round(100 * (start + (stop - start) * done / total), 2), 100, label + detail)

    return progress
