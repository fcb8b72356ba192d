"""What the stage that blends the members takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.machine.job import Added, How
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import Payout
from models.ensembles.weighing import Weighing


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What weights that are learnt need beside the members.

    Attributes:
        meta_model, benchmark: columns of the store; None: there is none.
        purge_weeks: labels of eras nearer than this reach into the era that is weighed for.
        confidence: one-sided, of the bound by which a departure from equal weights is judged.
        weighing: what all methods share.
    """

    meta_model: str | None
    benchmark: str | None
    purge_weeks: int
    confidence: float
    weighing: Weighing


@dataclass(frozen=True, kw_only=True)
class ScoredBlends:
    """By what the blends are scored that lack one member each.

    Attributes:
        meta_model, benchmark: columns of the store; None: there is none.
        payout: what an era pays.
    """

    meta_model: str | None
    benchmark: str | None
    payout: Payout


@dataclass(frozen=True, kw_only=True)
class BlendJob:
    """Trained members to be blended; what they predict is known by their signatures.

    Attributes:
        method: a row of `BLENDS`.
        target, horizon_days, data_version: written into the ensemble, to be compared with the data it is used on.
        neutralise: proportion (above 0) and features; None: nothing is neutralised.
        learning: for a method that learns its weights; None: it does not.
        without: by what the blends without each member are scored; None: there are none.
        members: name of each member -> folder of its training stage.
        store: folder of the era store they were trained on.
    """

    method: str
    target: str
    horizon_days: int
    data_version: str
    neutralise: Neutralisation | None = None
    learning: Learning | None = None
    without: Added[ScoredBlends | None] = None
    members: How[dict[str, Path]]
    store: How[Path]
