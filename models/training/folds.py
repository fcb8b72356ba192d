"""One judged window of a member: found, from an earlier attempt or an earlier week, or made."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eraflow.data.eras import Window, era_number
from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.reports.learningcurve import curves_file, write_curves
from models.base.predictions import OutOfFoldFileError, Predictions, read_out_of_fold
from models.base.protocol import Model, ProgressFn
from models.training.foldkey import fold_key
from models.training.foldstore import FILES, FoldStore
from models.training.importance import importance_file
from models.training.job import KeptFolds
from models.training.learningplan import learning_plan
from models.training.trainer import Trainer


class LeakingWindowError(EraflowError):
    """A window learns from eras that lie within the purge of, or after, those it is judged on."""

    code = "leaking_window"


@dataclass(frozen=True)
class JudgedFold:
    """A judged window.

    Attributes:
        predictions: of its judged eras.
        seconds: of its fit, whenever that was.
        plan: what its plan changed.
        lengths: of each of the model's networks, the share of the planned updates after which it was best; of other
            models none.
        adaptation: of a model that adapts a base, see `models.networks.transformer`; of others empty.
        reused: whether an earlier attempt of this run finished it.
        kept: whether it was found in the home, where an earlier week had left it.
    """

    predictions: Predictions
    seconds: float
    plan: str
    lengths: tuple[float, ...] = ()
    adaptation: dict[str, Any] = field(default_factory=dict)
    reused: bool = False
    kept: bool = False

    def note(self) -> dict[str, Any]:
        """What is told of its training, JSON."""
        told = {"seconds": self.seconds, "plan": self.plan, "lengths": self.lengths}
        return {**told, **({"adaptation": self.adaptation} if self.adaptation else {})}


def fold_of(trainer: Trainer, position: int, progress: ProgressFn, kept: KeptFolds | None = None) -> JudgedFold:
    """The fold at `position`, its files in the trainer's folder.

    Args:
        trainer: of the member.
        position: of the window.
        progress: told how far its fit is.
        kept: where the folds of earlier weeks are; None: nowhere.

    Raises:
        LeakingWindowError: the base that it adapts knows too much.
    """
    found = _finished(trainer, position)
    if found is not None:
        return found
    key = None if kept is None else fold_key(trainer, position, kept.code)
    if kept is None or key is None:
        return make_fold(trainer, position, progress)
    store = FoldStore(kept.folder, kept.most_mb)
    with store.turn(key) as mine:
        fold = _from_home(trainer, position, store, key)
        if fold is None:
            fold = make_fold(trainer, position, progress)
            if mine:
                store.keep(key, _places(trainer, position), fold.note())
    return fold


def make_fold(trainer: Trainer, position: int, progress: ProgressFn) -> JudgedFold:
    """Train and judge, and write `fold-<i>.parquet` and `.json`, the importance of features and how networks learnt."""
    began, window = time.monotonic(), trainer.member.windows[position]
    with trainer.seeing(position) as seeing:
        model = seeing.fit(window.train, position, progress)
        _check_base(model, window)
        predictions = seeing.predict(model, window.test)
        predictions.write(_fold_path(trainer, position))
        seeing.measure(model, window.test, position)
    write_model_curves(trainer, position, model)
    seconds = round(time.monotonic() - began, 2)
    fold = JudgedFold(predictions, seconds, learning_plan(trainer.plan), _lengths(model), adaptation_of(model))
    _write_note(trainer, position, fold)
    shutil.rmtree(trainer.checkpoints(window.train, position), ignore_errors=True)
    return fold


def _write_note(trainer: Trainer, position: int, fold: JudgedFold) -> None:
    path = _fold_path(trainer, position)
    note = {"signature": trainer.fold_signature(position), "sha256": file_sha256(path), "kept": fold.kept}
    write_json(path.with_suffix(".json"), {**note, **fold.note()})


def _finished(trainer: Trainer, position: int) -> JudgedFold | None:
    """The fold that an earlier attempt finished, or None when there is none."""
    path = _fold_path(trainer, position)
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if note["signature"] == trainer.fold_signature(position) and note["sha256"] == file_sha256(path):
            return replace(_noted(path, note), reused=True, kept=note["kept"] is True)
    except (OSError, ValueError, KeyError, TypeError, OutOfFoldFileError):
        return None
    return None


def _from_home(trainer: Trainer, position: int, store: FoldStore, key: str) -> JudgedFold | None:
    """The fold that an earlier week left, its files copied; None when there is none that is whole."""
    note = store.take(key, _places(trainer, position))
    if note is None:
        return None
    try:
        fold = replace(_noted(_fold_path(trainer, position), note), kept=True)
    except (ValueError, KeyError, TypeError, OutOfFoldFileError):
        return None
    _write_note(trainer, position, fold)
    return fold


def _noted(path: Path, note: Mapping[str, Any]) -> JudgedFold:
    lengths = tuple(map(float, note["lengths"]))
    return JudgedFold(
        read_out_of_fold(path), float(note["seconds"]), str(note["plan"]), lengths, dict(note.get("adaptation", {}))
    )


def _fold_path(trainer: Trainer, position: int) -> Path:
    return trainer.out / f"fold-{position}.parquet"


def _places(trainer: Trainer, position: int) -> dict[str, Path]:
    """Where the files of a kept fold lie in a run."""
    out = trainer.out
    places = (_fold_path(trainer, position), importance_file(out, position), curves_file(out, position))
    return dict(zip(FILES, places, strict=True))


def _lengths(model: Model) -> tuple[float, ...]:
    return tuple(getattr(model, "lengths", ()))


def adaptation_of(model: Model) -> dict[str, Any]:
    """What a model tells of the base that it adapts; empty for others."""
    return {**getattr(model, "adaptation", {}), **getattr(model, "adaptation_told", {})}


def write_model_curves(trainer: Trainer, fold: int | None, model: Model) -> None:
    """How each of the model's networks learnt; a model that does not learn by updates has nothing to tell."""
    curves = getattr(model, "curves", ())
    write_curves(trainer.out, fold, [[(one.update, one.loss, one.corr) for one in curve] for curve in curves])


def _check_base(model: Model, window: Window) -> None:
    """A base, wherever it was trained, serves only windows that begin after its last era and the purge."""
    last = adaptation_of(model).get("base_last_era")
    if last is not None and era_number(last) + window.purge_weeks >= era_number(window.test[0]):
        raise LeakingWindowError(
            f"window {window.index} is judged from era {window.test[0]} on, purge {window.purge_weeks} weeks, and its "
            f"base has learnt up to era {last}",
            "remove cache/bases from the home folder",
        )
