"""The stage that trains one model: out of fold on every window, then once on everything for live."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.errors import EraflowError
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.store.atomic import storage_errors, write_json
from eraflow.store.digest import file_sha256, value_sha256
from eraflow.store.erastore import EraStore
from eraflow.tournament.eras import era_number
from eraflow.tournament.ranking import EraGroups
from models.predictions import PredictionFileError, Predictions, join, read_predictions
from models.protocol import Codes, Model, ProgressFn, check_predictions, make_model

OOF = "oof.parquet"
MODEL_FOLDER = "model"
SCRATCH = "scratch"
CHECKPOINTS = "checkpoints"
LEARNING = ("rate_factor", "clip_norm", "precision", "work_factor")
AS_ASKED = "as asked"


class LeakingWindowError(EraflowError):
    """A window learns from eras that lie within the purge of, or after, those it is judged on."""

    code = "leaking_window"


@dataclass(frozen=True)
class Trainer:
    """What all fits of one member share.

    Attributes:
        out: the stage's folder.
        store: the data.
        target: column of the store.
        model: kind, name and params.
        seed: of the run; each fit draws its own from it and its position.
        plan: how to use the machine.
    """

    out: Path
    store: EraStore
    target: str
    model: Mapping[str, Any]
    seed: int
    plan: Plan

    def fit(self, eras: Sequence[str], position: int, progress: ProgressFn) -> Model:
        """A new model that has learnt from `eras`; `position` is the fold's index, or the number of folds for live."""
        x, y = training_view(self.store, self.target, eras)
        checkpoints = self.checkpoints(eras, position)
        with _scratch(self.out / SCRATCH) as scratch:
            model = make_model(self.model["kind"], self.model["params"], scratch=scratch, checkpoints=checkpoints)
            model.fit(x, y, plan=self.plan, seed=fit_seed(self.seed, position), progress=progress)
        return model

    def checkpoints(self, eras: Sequence[str], position: int) -> Path:
        """Where the checkpoints of one fit lie: a folder named after all that decides what it learns.

        It outlives a killed attempt, unlike the scratch folder.
        """
        parts = {**self._parts(), "eras": list(eras), "position": position}
        return self.out / CHECKPOINTS / f"{position}-{value_sha256(parts)[:16]}"

    def predict(self, model: Model, eras: Sequence[str]) -> Predictions:
        """Predictions of all rows of `eras`, checked."""
        values = model.predict(self.store.matrix(eras), plan=self.plan)
        check_predictions(values, f"{self.model['name']} on eras {eras[0]} to {eras[-1]}")
        return Predictions(self.store.ids(eras), tuple(eras), EraGroups(self.store.offsets(eras)), values)

    def fold_signature(self, window: Mapping[str, Any]) -> str:
        """The name of a fold's work; a fold file made under another one is made anew."""
        return value_sha256({**self._parts(), "window": dict(window)})

    def _parts(self) -> dict[str, Any]:
        return {
            "model": dict(self.model),
            "target": self.target,
            "seed": self.seed,
            "features": list(self.store.features),
            "rows": self.store.n_rows,
        }


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
) -> dict[str, Any]:
    """Write `oof.parquet` (every judged era, predicted by a model that never saw it) and `model/` (for live).

    Each fold is written as it finishes, `fold-<i>.parquet` and `fold-<i>.json`, and found again by a later attempt,
    also by one whose plan learns in another way (a lower rate, fewer trees): `fold_plans` tells how each was made.
    Checkpoints inside a fit lie in `checkpoints/` until the stage is finished.

    Args:
        out: folder of the stage.
        store: folder of the era store.
        windows: index, train, test and purge_weeks of each, in order of their judged eras.
        resolved_eras: what the final fit learns from.
        target: explicit name of the target; rows where it is NaN teach nothing but are predicted.
        model: ModelSettings as a dictionary.
        seed: everything random starts here.
        plan: a Plan as a dictionary.

    Returns:
        Figures for tables: folds, rows, eras, seconds of each fold and of the final fit; `fold_plans` and `final_plan`,
        what of the plan changed the results of each ("as asked" as a rule).

    Raises:
        ModelSettingsError, LeakingWindowError, TrainingDataError, StageNaN, ConstantPredictionsError.
    """
    trainer = Trainer(Path(out), EraStore.open(store), target, model, seed, Plan(**plan))
    make_model(model["kind"], model["params"])  # a wrong parameter ends the stage here, before any work
    for window in windows:
        _check_window(window)
    shares = np.cumsum([0, *(len(window["train"]) for window in windows), len(resolved_eras)])
    folds, seconds, plans, reused = [], [], [], 0
    for position, window in enumerate(windows):
        label = f"{model['name']} fold {position + 1} of {len(windows)}"
        progress = _share_of(shares, position, label)
        kept = _kept_fold(trainer, position, window)
        fold, took, how = kept or _make_fold(trainer, position, window, progress)
        folds.append(fold)
        seconds.append(took)
        plans.append(how)
        reused += kept is not None
        progress(1, 1, "")
    oof = join(folds)
    oof.write(trainer.out / OOF)
    began = time.monotonic()
    final = trainer.fit(resolved_eras, len(windows), _share_of(shares, len(windows), f"{model['name']} for live"))
    final.save(trainer.out / MODEL_FOLDER)
    shutil.rmtree(trainer.out / CHECKPOINTS, ignore_errors=True)  # they are no part of what the stage made
    return {
        "folds": len(windows),
        "folds_reused": reused,
        "fold_seconds": seconds,
        "fold_plans": plans,
        "final_plan": learning_plan(trainer.plan),
        "final_seconds": round(time.monotonic() - began, 2),
        "rows": len(oof.values),
        "eras": len(oof.eras),
        "first_era": oof.eras[0],
        "last_era": oof.eras[-1],
        "final_eras": len(resolved_eras),
    }


def training_view(store: EraStore, target: str, eras: Sequence[str]) -> tuple[Codes, npt.NDArray[np.float32]]:
    """The matrix and target to learn from, without a copy of the matrix.

    When eras are subsampled, the rows between them are part of the view, and their target is NaN: models leave such
    rows out tile by tile.

    Returns:
        int8[n, f], a view of the store from the first to the last era, and float32[n].
    """
    first, last = store.eras.index(eras[0]), store.eras.index(eras[-1])
    span = store.eras[first : last + 1]
    y = store.column(target, span).astype(np.float32)
    if len(span) != len(eras):
        wanted = set(eras)
        chosen = np.array([era in wanted for era in store.eras])
        y[~chosen[store.era_codes(span)]] = np.nan
    return store.matrix(span), y


def fit_seed(seed: int, position: int) -> int:
    """The seed of one fit: different for each position, the same in every attempt."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0] >> 1)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder that lives as long as a fit; what a killed attempt left there goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    with storage_errors(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_fold(
    trainer: Trainer, position: int, window: Mapping[str, Any], progress: ProgressFn
) -> tuple[Predictions, float, str]:
    began = time.monotonic()
    model = trainer.fit(window["train"], position, progress)
    fold = trainer.predict(model, window["test"])
    path = fold.write(_fold_path(trainer, position))
    seconds = round(time.monotonic() - began, 2)
    how = learning_plan(trainer.plan)
    signature = trainer.fold_signature(window)
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
        if note["signature"] == trainer.fold_signature(window) and note["sha256"] == file_sha256(path):
            return read_predictions(path), float(note["seconds"]), str(note["plan"])
    except (OSError, ValueError, KeyError, TypeError, PredictionFileError):
        return None
    return None


def _fold_path(trainer: Trainer, position: int) -> Path:
    return trainer.out / f"fold-{position}.parquet"


def _check_window(window: Mapping[str, Any]) -> None:
    """The last line of defence against leakage: look at the eras themselves."""
    last, first, purge = window["train"][-1], window["test"][0], window["purge_weeks"]
    if max(map(era_number, window["train"])) + purge >= min(map(era_number, window["test"])):
        raise LeakingWindowError(
            f"window {window['index']} learns up to era {last} and is judged from {first} on, purge {purge} weeks",
            "cut the windows with eraflow.tournament.eras.walk_forward",
        )


def _share_of(shares: npt.NDArray[np.int64], position: int, label: str) -> ProgressFn:
    """Progress of one fit as its share of the stage, in percent; a fit counts as many parts as it has eras."""
    start, stop = shares[position] / shares[-1], shares[position + 1] / shares[-1]

    def progress(done: int, total: int, unit: str) -> None:
        detail = f": {done} of {total} {unit}" if unit else ""
        report(round(100 * (start + (stop - start) * done / total), 2), 100, label + detail)

    return progress
