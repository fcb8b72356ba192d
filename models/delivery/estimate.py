"""What a shipped model will take of Numerai's computer for a live era: processor seconds and memory, before it is made.

Seconds are those of the kinds' pace in eraflow/kinds.py, which was measured on a busy computer; what a process takes
anyway and neutralisation are measured here, see docs/results.md.
"""

from __future__ import annotations

from typing import Any

from eraflow.kinds import UNKNOWN, find
from models.bags.bagmodel import BagModel
from models.compression.codedmodel import CodedModel
from models.ensembles.ensemble import Ensemble
from models.kinds import count_weights

LIVE_ROWS = 7_000
MILLION = 1e6
START_SECONDS, START_MB = 4.0, 330.0
"""Of Python, pandas and the boosters' libraries."""
NEUTRALISING_SECONDS = 1e-10
"""For each row and pair of features: the Gram matrix in float32 and its factor."""
TREE_BYTES = 13_000
"""Of a tree of 31 leaves in memory; see Cost in eraflow/kinds.py."""
TILE_MB = 60.0
"""Of a tile that is converted, and of the blocks of a network."""


def estimate(ensemble: Ensemble, rows: int = LIVE_ROWS, columns: int | None = None) -> dict[str, Any]:
    """`cpu_seconds` and `memory_mb` of one live era, and of it those of each of the `members`.

    Args:
        ensemble: to be shipped.
        rows: of the era.
        columns: of the file that is given to it; None: only its own features.
    """
    width = len(ensemble.features)
    members = {
        name: {
            "cpu_seconds": round(_seconds(str(one["kind"]), model, rows, width), 2),
            "memory_mb": round(_trees(model) * TREE_BYTES / 2**20, 1),
        }
        for name, (one, model) in zip(ensemble.members, _paired(ensemble), strict=True)
    }
    neutralised = len(ensemble.description["neutralise"]["features"]) if ensemble.neutralises else 0
    seconds = START_SECONDS + sum(told["cpu_seconds"] for told in members.values())
    seconds += NEUTRALISING_SECONDS * rows * neutralised**2
    held = sum(_trees(model) for _, model in _paired(ensemble)) * TREE_BYTES + rows * (2.0 * width + (columns or width))
    factor = 12.0 * neutralised**2
    return {
        "cpu_seconds": round(seconds, 1),
        "memory_mb": round(START_MB + TILE_MB + (held + factor) / 2**20),
        "members": members,
    }


def _paired(ensemble: Ensemble) -> Any:
    return zip(ensemble.description["members"], ensemble.members.values(), strict=True)


def _seconds(kind: str, model: Any, rows: int, width: int) -> float:
    pace = find(kind).pace
    if pace == UNKNOWN:
        return 0.0
    inner = _inner(model)
    if isinstance(inner, BagModel):
        return sum(_seconds(kind, part.model, rows, width) for part in inner.fitted)
    count = width if inner.columns is None else len(inner.columns)
    each = pace.judged + pace.judged_column * count
    usual = count_weights(kind, {}, count)
    larger = count_weights(kind, inner.params, count) * len(inner.networks) / usual if usual else _trees(model)
    return float(rows * each * larger / MILLION)


def _trees(model: Any) -> int:
    inner = _inner(model)
    if isinstance(inner, BagModel):
        return sum(_trees(part.model) for part in inner.fitted)
    return int(getattr(inner, "trained_with", {}).get("trees", 0))


def _inner(model: Any) -> Any:
    """The model itself, of one that sees a code."""
    return model.parts[0] if isinstance(model, CodedModel) else model
