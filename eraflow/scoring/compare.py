"""Models of one or several runs against one of them, era by era, on the eras they all have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.errors import SettingsError
from eraflow.scoring.backtest import BLEND, SCORES, read_scores
from eraflow.scoring.scoring import ModelScores
from eraflow.scoring.statistics import Comparison, Interval, ewc_interval, overlap_weeks, paired_comparison

METRICS = ("corr", "payout", "mmc", "bmc", "payout_bmc", "fnc")


@dataclass(frozen=True)
class Compared:
    """One model against the reference.

    Attributes:
        model: its name; with several runs, that of its run folder before it, or as much of the folder's path as tells
            the runs apart.
        interval: of its own mean on the common eras.
        against: the paired comparison; None for the reference itself.
    """

    model: str
    interval: Interval
    against: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        against = None if self.against is None else self.against.as_dict()
        return {"model": self.model, **self.interval.as_dict(), "against": against}


@dataclass(frozen=True)
class ComparisonTable:
    """All models on the same eras.

    Attributes:
        metric, reference, confidence: what was asked.
        eras: the common eras, oldest first.
        rows: a row a model, the reference first, then by mean.
        left_out: models that have no such metric, such as the benchmark no BMC.
        unfinished: runs that were left out -> why.
    """

    metric: str
    reference: str
    confidence: float
    eras: tuple[str, ...]
    rows: tuple[Compared, ...]
    left_out: tuple[str, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "metric": self.metric,
            "reference": self.reference,
            "confidence": self.confidence,
            "eras": {"count": len(self.eras), "first": self.eras[0], "last": self.eras[-1]},
            "models": [row.as_dict() for row in self.rows],
            "left_out": list(self.left_out),
            "unfinished": dict(self.unfinished),
        }


def compare_runs(
    folders: Sequence[Path],
    against: str | None = None,
    *,
    only: Sequence[str] | None = None,
    metric: str = "corr",
    confidence: float = 0.95,
) -> ComparisonTable:
    """Compare models of the runs with one of them.

    Args:
        folders: run folders. Those without a finished backtest, as a pattern such as `runs/*` may name them, are left
            out, unless none is left.
        against: the reference, by its name in the table; None: the blend of the first run.
        only: these models and the reference alone; None: all. Without one that covers few eras more are in common.
        metric: one of METRICS. payout, on eras that the meta model covers, and payout_bmc, elsewhere, are two scores.
        confidence: one-sided, of each bound and comparison. Many comparisons at once find a false one more often.

    Raises:
        SettingsError: no folder with a readable backtest, one that is not there or is named twice, an unknown model or
            metric, other targets, or no common eras.
    """
    if metric not in METRICS:
        raise SettingsError(f"there is no metric {metric!r}", f"use one of {', '.join(METRICS)}")
    found, unfinished = _models(folders)
    reference = against if against is not None else _usual(found)
    found = _asked(found, reference, only)
    horizon_days = _common_horizon(found)
    series = {
        name: dict(zip(*model.per_era[metric], strict=True))
        for name, model in found.items()
        if metric in model.per_era and model.per_era[metric].eras
    }
    if reference not in series:
        raise SettingsError(f"{reference} has no {metric}", "choose another reference or metric")
    eras = sorted(set.intersection(*(set(values) for values in series.values())))
    if not eras:
        raise SettingsError("the models have no judged era in common", "compare runs over the same windows")
    return ComparisonTable(
        metric,
        reference,
        confidence,
        tuple(eras),
        _rows(series, reference, eras, overlap_weeks(horizon_days), confidence),
        tuple(name for name in found if name not in series),
        unfinished,
    )


def _asked(found: Mapping[str, ModelScores], reference: str, only: Sequence[str] | None) -> dict[str, ModelScores]:
    """The reference and the models that were asked for; all where none were."""
    unknown = [name for name in (reference, *(only or ())) if name not in found]
    if unknown:
        raise SettingsError(f"there is no model {unknown[0]!r}", f"the models are {', '.join(found)}")
    return {name: model for name, model in found.items() if only is None or name == reference or name in only}


def _common_horizon(found: Mapping[str, ModelScores]) -> int:
    """The horizon of the one target, in trading days, that all were scored on."""
    targets = {(model.target, model.horizon_days) for model in found.values()}
    if len(targets) > 1:
        raise SettingsError(
            f"the runs were scored on different targets: {', '.join(sorted(target for target, _ in targets))}",
            "compare runs of one target",
        )
    return next(iter(targets))[1]


def _rows(
    series: Mapping[str, Mapping[str, float]], reference: str, eras: Sequence[str], overlap: int, confidence: float
) -> tuple[Compared, ...]:
    values = {name: np.array([by_era[era] for era in eras]) for name, by_era in series.items()}
    base = values[reference]
    rows = [
        Compared(
            name,
            ewc_interval(own, overlap, confidence),
            None if name == reference else paired_comparison(own, base, overlap, confidence),
        )
        for name, own in values.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.model != reference, -row.interval.mean)))


def _usual(found: Mapping[str, ModelScores]) -> str:
    return next((name for name in found if name.split("/")[-1] == BLEND), next(iter(found)))


def _models(folders: Sequence[Path]) -> tuple[dict[str, ModelScores], dict[str, str]]:
    """The models of all finished runs by name, and why the other runs were left out."""
    finished: dict[Path, dict[str, ModelScores]] = {}
    refused: dict[Path, SettingsError] = {}
    for folder in folders:
        if not folder.exists():
            raise SettingsError(f"there is no folder {folder}", "name folders of runs")
        try:
            finished[folder] = _scores(folder)
        except SettingsError as error:
            refused[folder] = error
    if refused and not finished:
        raise next(iter(refused.values()))
    kept = [folder for folder in folders if folder in finished]
    found: dict[str, ModelScores] = {}
    for folder, prefix in zip(kept, _prefixes(kept), strict=True):
        found.update({f"{prefix}{name}": model for name, model in finished[folder].items()})
    return found, {str(folder): error.problem for folder, error in refused.items()}


def _scores(folder: Path) -> dict[str, ModelScores]:
    path = folder / "backtest" / SCORES
    if not path.is_file():
        raise SettingsError(f"{folder} is no run with a finished backtest", "name the folder of such a run")
    try:
        return read_scores(path.parent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", "finish that run again with --resume") from error


def _prefixes(folders: Sequence[Path]) -> list[str]:
    """What stands before the names of each run's models: the end of its path, as long as tells the runs apart."""
    if len(folders) < 2:
        return [""] * len(folders)
    paths = [folder.resolve() for folder in folders]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise SettingsError(f"{twice} is named twice", "name each run once")
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        ends = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(ends)) == len(ends):
            break
    return [f"{end}/" for end in ends]
