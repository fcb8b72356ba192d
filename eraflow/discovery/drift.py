"""How associations and importances move over eras and from one data version to the next.

A figure is kept for each feature and block of half a year of eras. Blocks begin at fixed eras (1, 27, 53, ...), so that
the same block has the same name every week. The history is a small JSON file for each measure, model and target in the
home folder; it holds the features that matter most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from eraflow.data.eras import era_number
from eraflow.disk.atomic import write_json
from eraflow.errors import EraflowError
from eraflow.scoring.ranking import FloatArray

FOLDER = "discovery"
FORMAT = 1
BLOCK_ERAS = 26
"""Half a year."""
TRACKED = 60
"""Features of a version that the history keeps."""
VERSIONS = 4
"""Data versions that the history keeps, the last ones written."""


class DriftHistoryError(EraflowError):
    """The history of drift cannot be read. Remove the file: the next run begins a new one."""

    code = "drift_history"


@dataclass(frozen=True)
class Drift:
    """Figures of features in blocks of eras.

    Attributes:
        features: names.
        blocks: labels such as `0001-0026`, in order.
        values: float64[features, blocks], NaN where not known.
    """

    features: tuple[str, ...]
    blocks: tuple[str, ...]
    values: FloatArray

    def strongest(self, count: int) -> Drift:
        """The `count` features with the largest mean absolute figure, strongest first."""
        known = np.isfinite(self.values)
        sizes = np.where(known, np.abs(self.values), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        order = np.argsort(-sizes, kind="stable")[:count]
        return Drift(tuple(self.features[place] for place in order), self.blocks, self.values[order])

    def agreement(self) -> list[float | None]:
        """Spearman's rank correlation of each block's figures with the mean of all blocks before it; None for the
        first one and where there is nothing to compare."""
        return [None, *(self._agreement(place) for place in range(1, len(self.blocks)))] if self.blocks else []

    def _agreement(self, place: int) -> float | None:
        known = np.isfinite(self.values[:, : place + 1])
        past = np.where(known[:, :place], self.values[:, :place], 0).sum(axis=1)
        past = past / np.maximum(known[:, :place].sum(axis=1), 1)
        both = known[:, place] & known[:, :place].any(axis=1)
        now = self.values[both, place]
        if both.sum() < 3 or np.ptp(now) == 0 or np.ptp(past[both]) == 0:
            return None
        return float(spearmanr(past[both], now).statistic)


def block_of(era: str, block_eras: int = BLOCK_ERAS) -> str:
    """The name of the block in which an era lies: `0027-0052` for era 0030."""
    first = (era_number(era) - 1) // block_eras * block_eras + 1
    return f"{first:04d}-{first + block_eras - 1:04d}"


def block_means(eras: Sequence[str], values: FloatArray, block_eras: int = BLOCK_ERAS) -> tuple[list[str], FloatArray]:
    """Means over the eras of each block.

    Args:
        eras: labels, in order.
        values: float64[eras, features]; NaN where not known.
        block_eras: length of a block.

    Returns:
        Names of the blocks in order, and float64[blocks, features]; NaN where no era of the block is known.
    """
    names = [block_of(era, block_eras) for era in eras]
    blocks = list(dict.fromkeys(names))
    means = np.full((len(blocks), values.shape[1]), np.nan)
    for place, block in enumerate(blocks):
        part = values[[name == block for name in names]]
        known = np.isfinite(part)
        count = known.sum(axis=0)
        means[place] = np.divide(
            np.where(known, part, 0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0
        )
    return blocks, means


def history_path(home: Path, measure: str, model: str, target: str) -> Path:
    """Where the history of one measure lies; model is empty for what belongs to no model."""
    return home / FOLDER / ("-".join(part for part in (measure, model, target) if part) + ".json")


def remember(path: Path, version: str, drift: Drift) -> dict[str, Drift]:
    """Add one version's figures to a history; a block that is there already is replaced.

    Only the strongest features are kept, and the last versions.

    Args:
        path: the history's file; it need not exist.
        version: of the data, such as `v5.3`.
        drift: figures of the version.

    Returns:
        The whole history, by version, oldest first.

    Raises:
        DriftHistoryError: the file there is cannot be read.
        StorageError: it cannot be written.
    """
    history = recall(path)
    merged = _merge(history.pop(version, None), drift).strongest(TRACKED)
    history = {**dict(list(history.items())[-(VERSIONS - 1) :]), version: merged}
    write_json(path, {"format": FORMAT, "versions": [_as_dict(name, each) for name, each in history.items()]})
    return history


def recall(path: Path) -> dict[str, Drift]:
    """The history in `path` by version, oldest first; empty when there is none.

    Raises:
        DriftHistoryError: it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        return {str(each["version"]): _from_dict(each) for each in content["versions"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DriftHistoryError(
            f"{path} cannot be read: {error}", "remove it; the next run begins a new one"
        ) from error


def _merge(old: Drift | None, new: Drift) -> Drift:
    if old is None:
        return new
    features = tuple(dict.fromkeys([*new.features, *old.features]))
    blocks = tuple(sorted({*old.blocks, *new.blocks}))
    values = np.full((len(features), len(blocks)), np.nan)
    row = {name: place for place, name in enumerate(features)}
    column = {name: place for place, name in enumerate(blocks)}
    for part in (old, new):
        for place, block in enumerate(part.blocks):
            if part is new:
                values[:, column[block]] = np.nan  # the figures of a block come from one run
            values[[row[name] for name in part.features], column[block]] = part.values[:, place]
    return Drift(features, blocks, values)


def _as_dict(version: str, drift: Drift) -> dict[str, Any]:
    rows = [[round(float(x), 6) if np.isfinite(x) else None for x in row] for row in drift.values]
    return {"version": version, "features": list(drift.features), "blocks": list(drift.blocks), "values": rows}


def _from_dict(values: Mapping[str, Any]) -> Drift:
    table = np.array([[np.nan if x is None else x for x in row] for row in values["values"]], dtype=np.float64)
    features, blocks = tuple(values["features"]), tuple(values["blocks"])
    return Drift(features, blocks, table.reshape(len(features), len(blocks)))
