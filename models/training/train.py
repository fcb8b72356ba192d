"""The stage that trains one model: out of fold on every window, then once on everything for live."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import ALIAS_TARGET, era_number, purge_weeks, target_horizon
from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.scoring.insample import write_learned
from models.base.predictions import OutOfFoldFileError, Predictions, join, read_out_of_fold
from models.base.protocol import ProgressFn
from models.kinds import make_model
from models.training.selectedfeatures import SelectedFeatures
from models.training.trainer import CHECKPOINTS, ImportanceSample, KeptBins, Trainer

OOF = "oof.parquet"
MODEL_FOLDER = "model"
LEARNING = ("rate_factor", "clip_norm", "precision", "work_factor")
AS_ASKED = "as asked"


class LeakingWindowError(EraflowError):
    """A window learns from eras that lie within the purge of, or after, those it is judged on."""

    code = "leaking_window"


def train_model(
    *,
    out: str,
    store: str,
    windows: Sequence[Mapping[str, Any]],
    resolved_eras: Sequence[str],
    target: str,
    model: Mapping[str, Any],
    seed: int,
    plan: Mapping[str, Any],
    benchmark: str | None = None,
    selection: str | None = None,
    bins: Mapping[str, Any] | None = None,
    importance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `oof.parquet` (every judged era, predicted by a model that never saw it) and `model/` (for live).

    Each fold is written as it finishes, `fold-<i>.parquet` and `fold-<i>.json`, and found again by a later attempt,
    also by one whose plan learns in another way (a lower rate, fewer trees): `fold_plans` tells how each was made.
    The importance of features to each fold's model is in `importance-<i>.parquet`, measured on the judged eras.
    Checkpoints inside a fit lie in `checkpoints/` until the stage is finished.

    Args:
        out: folder of the stage.
        store: folder of the era store.
        windows: index, train, test and purge_weeks of each, in order of their judged eras.
        resolved_eras: what the final fit learns from.
        target: explicit name of the target; rows where it is NaN teach nothing but are predicted.
        model: kind, name and params.
        seed: everything random starts here.
        plan: a Plan as a dictionary.
        benchmark: column of the store whose residual is learnt (see eraflow/scoring/residual.py); None: the target
            itself.
        selection: file of a selection stage, with the features of each window and for live; None: all features.
        bins: KeptBins as a dictionary; None: binned rows are not kept. It changes no result.
        importance: ImportanceSample as a dictionary; None: no importance is measured. It changes no prediction, so a
            finished fold is kept with what was measured when it was made.

    Returns:
        Figures for tables: folds, rows, eras, seconds of each fold and of the final fit; `fold_plans` and `final_plan`,
        what of the plan changed the results of each ("as asked" as a rule); `learns` and `purge_weeks`; `features`, how
        many each fold and the final fit use; `params` as they were given.

    Raises:
        ModelSettingsError, LeakingWindowError, SelectionFileError, TrainingDataError, StageNaN,
        ConstantPredictionsError.
    """
    trainer = Trainer(
        Path(out),
        EraStore.open(store),
        target,
        model,
        seed,
        Plan(**plan),
        benchmark,
        None if selection is None else SelectedFeatures.read(Path(selection), windows),
        None if bins is None else KeptBins(**bins),
        None if importance is None else ImportanceSample(**importance),
    )
    # A wrong parameter ends the stage here, before any work.
    make_model(model["kind"], model["params"], source=str(model.get("source", "")))
    for window in windows:
        _check_window(window, target)
    widths = [_width(trainer, position) for position in range(len(windows) + 1)]
    shares = np.cumsum([0, *(len(window["train"]) for window in windows), len(resolved_eras)])
    made = [_fold(trainer, windows, shares, position) for position in range(len(windows))]
    folds, seconds, plans, reused = (list(each) for each in zip(*made, strict=True))
    oof = join(folds)
    oof.write(trainer.out / OOF)
    began = time.monotonic()
    final = trainer.fit(resolved_eras, len(windows), _share_of(shares, len(windows), f"{model['name']} for live"))
    final.save(trainer.out / MODEL_FOLDER)
    write_learned(trainer.out / MODEL_FOLDER, resolved_eras, _own_purge(target, windows))
    shutil.rmtree(trainer.out / CHECKPOINTS, ignore_errors=True)  # they are no part of what the stage made
    return {
        "folds": len(windows),
        "folds_reused": sum(reused),
        "fold_seconds": seconds,
        "fold_plans": plans,
        "final_plan": learning_plan(trainer.plan),
        "final_seconds": round(time.monotonic() - began, 2),
        "rows": len(oof.values),
        "eras": len(oof.eras),
        "first_era": oof.eras[0],
        "last_era": oof.eras[-1],
        "final_eras": len(resolved_eras),
        "learns": trainer.learns(),
        "purge_weeks": windows[0]["purge_weeks"],
        "features": widths,
        "params": dict(model["params"]),
    }


def _width(trainer: Trainer, position: int) -> int:
    columns = trainer.columns(position)
    return len(trainer.store.features) if columns is None else len(columns)


def _fold(
    trainer: Trainer, windows: Sequence[Mapping[str, Any]], shares: npt.NDArray[np.int64], position: int
) -> tuple[Predictions, float, str, bool]:
    """A fold, kept or made: its predictions, its seconds, how it was made, and whether an earlier attempt made it."""
    progress = _share_of(shares, position, f"{trainer.model['name']} fold {position + 1} of {len(windows)}")
    kept = _kept_fold(trainer, position, windows[position])
    fold, seconds, how = kept or _make_fold(trainer, position, windows[position], progress)
    progress(1, 1, "")
    return fold, seconds, how, kept is not None


def _make_fold(
    trainer: Trainer, position: int, window: Mapping[str, Any], progress: ProgressFn
) -> tuple[Predictions, float, str]:
    began = time.monotonic()
    model = trainer.fit(window["train"], position, progress)
    fold = trainer.predict(model, window["test"])
    path = fold.write(_fold_path(trainer, position))
    trainer.measure(model, window["test"], position)
    seconds = round(time.monotonic() - began, 2)
    how = learning_plan(trainer.plan)
    signature = trainer.fold_signature(window, position)
    note = {"signature": signature, "sha256": file_sha256(path), "seconds": seconds, "plan": how}
    write_json(path.with_suffix(".json"), note)
    shutil.rmtree(trainer.checkpoints(window["train"], position), ignore_errors=True)
    return fold, seconds, how


def learning_plan(plan: Plan) -> str:
    """What of a plan changes what is learnt: "rate_factor 0.3, clip_norm 1.0"; "as asked" when nothing does."""
    usual, values = Plan().as_dict(), plan.as_dict()
    changed = [f"{name} {values[name]}" for name in LEARNING if values[name] != usual[name]]
    return ", ".join(changed) or AS_ASKED


def _kept_fold(trainer: Trainer, position: int, window: Mapping[str, Any]) -> tuple[Predictions, float, str] | None:
    """The fold that an earlier attempt finished, or None when it has to be made."""
    path = _fold_path(trainer, position)
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if note["signature"] == trainer.fold_signature(window, position) and note["sha256"] == file_sha256(path):
            return read_out_of_fold(path), float(note["seconds"]), str(note["plan"])
    except (OSError, ValueError, KeyError, TypeError, OutOfFoldFileError):
        return None
    return None


def _fold_path(trainer: Trainer, position: int) -> Path:
    return trainer.out / f"fold-{position}.parquet"


def _check_window(window: Mapping[str, Any], target: str) -> None:
    """The last line of defence against leakage: look at the eras themselves, and at what the target's name says."""
    last, first, purge = window["train"][-1], window["test"][0], window["purge_weeks"]
    least = purge if target == ALIAS_TARGET else purge_weeks(target_horizon(target))
    if purge < least:
        raise LeakingWindowError(
            f"window {window['index']} has a purge of {purge} weeks, {target} needs at least {least}",
            "cut the windows of this member with eraflow.data.eras.windows_before",
        )
    if max(map(era_number, window["train"])) + purge >= min(map(era_number, window["test"])):
        raise LeakingWindowError(
            f"window {window['index']} learns up to era {last} and is judged from {first} on, purge {purge} weeks",
            "cut the windows with eraflow.data.eras.walk_forward",
        )


def _own_purge(target: str, windows: Sequence[Mapping[str, Any]]) -> int:
    """How far the labels of the target reach, with the margin; the alias does not tell it, the windows do."""
    least = int(windows[0]["purge_weeks"])
    return least if target == ALIAS_TARGET else purge_weeks(target_horizon(target))


def _share_of(shares: npt.NDArray[np.int64], position: int, label: str) -> ProgressFn:
    """Progress of one fit as its share of the stage, in percent; a fit counts as many parts as it has eras.

    The label speaks of the fit, so its own count stands in brackets: `lightgbm fold 1 of 5 (63 of 200 trees)`.
    """
    start, stop = shares[position] / shares[-1], shares[position + 1] / shares[-1]

    def progress(done: int, total: int, unit: str) -> None:
        detail = f" ({done} of {total} {unit})" if unit else ""
        report(round(100 * (start + (stop - start) * done / total), 2), 100, label + detail)

    return progress
