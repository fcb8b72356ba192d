"""What a search has found, confirmed on eras that no trial saw, and kept for the weeks to come.

    home/search/best/KEY/KIND.json     the parameters to use, the evidence, and the results before this one

The finalists and the unsearched defaults are fitted at full fidelity (all eras, all trees) and scored on the
confirmation eras. The best finalist is kept if it does better there than the defaults; otherwise the defaults are. That
is a choice, not a proof: the paired comparison beside it says what may be claimed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.study import Study

from eraflow.data.eras import Window
from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.plan import Plan
from eraflow.scoring.statistics import ewc_interval, overlap_weeks, paired_comparison
from models.base.protocol import FloatArray
from models.base.seeds import derived_seed
from models.base.wholeeras import fit_in_eras
from models.kinds import make_model
from models.search.job import Learnt
from models.search.scored import ScoredEras, Sides
from models.search.space import Space, without
from models.search.storage import FOLDER
from models.search.study import Done
from models.training.trainer import fit_eras, further_targets, learnt_purge, positions_of, training_view

BEST = "best"
FORMAT = 1
DEFAULTS, SEARCHED = "defaults", "searched"
ERROR_RATE = 0.05
"""Of calling any finalist better than the defaults that is not: shared by all comparisons (Bonferroni)."""
HISTORY_KEPT = 52
"""Results of a year are kept beside the newest."""


class DamagedBestError(EraflowError):
    """What a search has kept cannot be read. Search again, or remove the file to do without."""

    code = "damaged_best"


@dataclass(frozen=True)
class Finalist:
    """A set of parameters that is confirmed.

    Attributes:
        label: defaults, or the place of the trial.
        params: the searched parameters; empty for the defaults.
        length: the best one, where it was free.
        value: of the trial under the common penalty; None for the defaults when no trial of them was completed.
    """

    label: str
    params: Mapping[str, float]
    length: int | None
    value: float | None


@dataclass(frozen=True)
class Confirmed:
    """A finalist with its score on each confirmation era; NaN where an era has none."""

    finalist: Finalist
    by_era: FloatArray


def search_key(
    *,
    version: str,
    target: str,
    features: str | list[str],
    learn: str,
    source: str = "",
    also: Mapping[str, float] | None = None,
) -> str:
    """The name under which results for this data are kept: a digest of what a member learns from.

    Args:
        version: of the data.
        target: what is learnt.
        features: the setting `data.features`; a set keeps the key that it has always had.
        learn: target or residual.
        also: further targets with their weights; without any, the key is what it has always been.
        source: where the data come from, so that what was found on generated data is not used on Numerai's.
    """
    parts = {"version": version, "target": target, "feature_set": features, "learn": learn, "source": source}
    return value_sha256({**parts, **({"also": dict(also)} if also else {})})[:16]


def tuned_params(home: Path, kind: str, key: str, given: Collection[str] = ()) -> dict[str, Any] | None:
    """The parameters that the newest search for this kind and key kept; None when there was none.

    Args:
        home: the home folder.
        kind: of the model.
        key: see `search_key`.
        given: names that the settings state under any alias; they are left out.

    Returns:
        The library's own names; empty when the search kept the defaults.

    Raises:
        DamagedBestError: the file cannot be read.
    """
    found = read_best(home, kind, key)
    return None if found is None else without(kind, found["params"], given)


def read_best(home: Path, kind: str, key: str) -> dict[str, Any] | None:
    """The whole record of the newest search; None when there was none.

    Raises:
        DamagedBestError: the file cannot be read.
    """
    path = best_path(home, kind, key)
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or not isinstance(found["params"], dict):
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedBestError(f"{path} cannot be read: {error}", "search again, or remove it") from error
    return found


def best_path(home: Path, kind: str, key: str) -> Path:
    """Where the record lies."""
    return home / FOLDER / BEST / key / f"{kind}.json"


def keep(home: Path, record: Mapping[str, Any]) -> Path:
    """Write the record of a search; the results before it go into its history, each search once."""
    kind, key = record["kind"], record["key"]
    try:
        before = read_best(home, kind, key)
    except DamagedBestError:
        before = None
    past = [] if before is None else [*before.get("history", []), _summary(before)]
    past = [one for one in past if one["study"] != record["study"]]
    return write_json(best_path(home, kind, key), {**record, "format": FORMAT, "history": past[-HISTORY_KEPT:]})


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("study", "kept", "params", "trials", "eras", "confirmation")
    return {name: record.get(name) for name in kept}


def finalists(done: Sequence[Done], space: Space, count: int, penalty: float) -> list[Finalist]:
    """The best trials under one common penalty, after the defaults; equal parameters count once.

    The penalty of each trial is the one of its time; for the ranking all are judged by the newest.
    """
    complete = [one for one in done if one.scores is not None]
    plain = next((one for one in complete if one.origin == DEFAULTS), None)
    chosen = [Finalist(DEFAULTS, {}, None, None if plain is None else common_value(plain, penalty))]
    seen: list[Mapping[str, float]] = []
    for one in sorted(complete, key=lambda trial: (-common_value(trial, penalty), trial.position)):
        params = one.params or ({} if space.length_free else None)  # defaults with another number of trees are a find
        if params is None or params in seen or len(chosen) > count:
            continue
        seen.append(params)
        chosen.append(Finalist(f"trial {one.position + 1}", params, _length(one, penalty), common_value(one, penalty)))
    return chosen


def common_value(done: Done, penalty: float) -> float:
    """The value of a completed trial under a penalty that is the same for all."""
    if done.scores is None:
        raise ValueError("a trial that was given up has no value")
    return done.scores.value(penalty)


def _length(done: Done, penalty: float) -> int | None:
    if done.scores is None or not done.scores.length_free:
        return None
    return done.scores.looks[done.scores.chosen(penalty)]


class Confirmation:
    """Fits finalists on everything before the confirmation eras, and scores them there.

    What is computed is kept in the study, so that neither a resumed process nor another one computes it again.
    """

    def __init__(
        self, store: EraStore, window: Window, learnt: Learnt, sides: Sides, space: Space, *, seed: int, plan: Plan,
        scratch: Path,
    ) -> None:  # fmt: skip
        self._store, self._window, self._learnt, self._sides, self._space = store, window, learnt, sides, space
        self._seed, self._plan, self._scratch = derived_seed(seed, window.index), plan, scratch
        self._scored: ScoredEras | None = None

    def of(self, study: Study, finalist: Finalist, progress: Callable[[float], None]) -> Confirmed:
        """Scores of one finalist by era."""
        params = self._space.params(finalist.params, finalist.length)
        name = f"confirmed {value_sha256([params, self._window.train, self._window.test, self._seed])[:24]}"
        kept = study.user_attrs.get(name)
        if kept is None:
            kept = [None if np.isnan(one) else float(one) for one in self._fit(params, progress)]
            study.set_user_attr(name, kept)
        return Confirmed(finalist, np.array([np.nan if one is None else one for one in kept], dtype=np.float64))

    def _fit(self, params: Mapping[str, Any], progress: Callable[[float], None]) -> FloatArray:
        x, y = training_view(self._store, self._learnt.target, self._window.train, self._learnt.benchmark)
        groups = positions_of(self._learnt.groups, self._store.features)
        model = make_model(self._space.kind, params, scratch=self._scratch, groups=groups)
        purge = learnt_purge((self._learnt.target, *self._learnt.also), self._window.purge_weeks)
        fit_in_eras(
            model,
            x,
            y,
            fit_eras(self._store, self._window.train, purge),
            plan=self._plan,
            seed=self._seed,
            progress=lambda done, total, _: progress(done / total),
            further=further_targets(self._store, self._learnt.also, self._window.train),
        )
        if self._scored is None:
            self._scored = ScoredEras(self._store, self._window.test, self._sides)
        return self._scored.by_era(self._scored.predicted_by(model, self._plan))


def judged(confirmed: Sequence[Confirmed], window: Window, horizon_days: int) -> dict[str, Any]:
    """Which of the confirmed is kept, with an interval for each and its comparison with the defaults.

    Returns:
        kept: `searched` or `defaults`; winner: position in `confirmed`; eras; table: a row for each.
    """
    overlap = overlap_weeks(horizon_days)
    known = np.all([np.isfinite(one.by_era) for one in confirmed], axis=0)
    base = confirmed[0].by_era[known]
    confidence = 1 - ERROR_RATE / max(1, len(confirmed) - 1)
    rows = [_row(one, one.by_era[known], base, overlap, confidence) for one in confirmed]
    best = int(np.argmax([row["mean"] if row["mean"] is not None else -np.inf for row in rows])) if known.any() else 0
    return {
        "kept": SEARCHED if best > 0 else DEFAULTS,
        "winner": best,
        "eras": {"first": window.test[0], "last": window.test[-1], "count": int(known.sum())},
        "table": rows,
    }


def _row(one: Confirmed, scores: FloatArray, base: FloatArray, overlap: int, confidence: float) -> dict[str, Any]:
    compared = paired_comparison(scores, base, overlap, confidence)
    interval = ewc_interval(scores, overlap).as_dict()
    return {
        "label": one.finalist.label,
        "params": dict(one.finalist.params),
        "length": one.finalist.length,
        "value": one.finalist.value,
        "mean": interval["mean"] if len(scores) else None,
        "low": interval["low"],
        "high": interval["high"],
        "against_defaults": None if one.finalist.label == DEFAULTS else compared.as_dict(),
    }
