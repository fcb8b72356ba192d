"""What the stage that searches parameters for one model takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from eraflow.machine.job import How, HowOf
from eraflow.scoring.payout import Payout
from eraflow.settings.search import SearchSettings
from models.search.folds import SearchEras

NOT_OF_THE_RESULT = frozenset({"storage", "patience_minutes", "models", "before_training"})
"""Settings of where trials lie, how patiently they are watched, and who is searched for."""


@dataclass(frozen=True)
class Learnt:
    """What is learnt.

    Attributes:
        target: the column.
        benchmark: whose part is taken out of it first; None: nothing is.
        also: further targets, with the weight of each in the loss.
        groups: name -> the named groups of features, for a kind that learns by groups; None for the others.
    """

    target: str
    benchmark: str | None = None
    groups: dict[str, tuple[str, ...]] | None = None
    also: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchJob:
    """A member to be searched for.

    Attributes:
        kind, name, params: of the member; what `params` states is not searched.
        key: see `models.search.best.search_key`.
        eras: what the search may see.
        learn: what is learnt.
        target, horizon_days: what is scored.
        contribution: columns against which contribution may be measured, the preferred one first.
        payout: what an era pays; None: of no matter, as CORR alone is maximised.
        search: the settings.
        seed: everything random starts here.
        store: folder of the era store.
        home: the home folder; the storage is there unless the settings name one, and what is kept always.
    """

    kind: str
    name: str
    params: dict[str, Any]
    key: str
    eras: SearchEras
    learn: Learnt
    target: str
    horizon_days: int
    contribution: tuple[str, ...] = ()
    payout: Payout | None = None
    search: Annotated[SearchSettings, HowOf(NOT_OF_THE_RESULT)]
    seed: int
    store: How[Path]
    home: How[Path]
