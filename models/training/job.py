"""What the stage that trains a member takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.data.membereras import Member
from eraflow.machine.job import Added, How
from models.compression.codedstore import LearnedCode


@dataclass(frozen=True)
class KeptBins:
    """Where binned rows are kept between fits.

    Attributes:
        folder: of the cache.
        data_key: names the era store; the span of rows is added for each fit.
        most_mb: size of the cache at the most.
    """

    folder: Path
    data_key: str
    most_mb: int


@dataclass(frozen=True)
class KeptBases:
    """Where the bases of networks are kept from week to week.

    Attributes:
        folder: of all of them.
        code: names the code that trains them.
    """

    folder: Path
    code: str


@dataclass(frozen=True)
class KeptFolds:
    """Where finished folds are kept from week to week.

    Attributes:
        folder: of all of them.
        code: names the code that trains them.
        most_mb: size of all together at the most, MiB.
    """

    folder: Path
    code: str
    most_mb: int


@dataclass(frozen=True)
class ImportanceSample:
    """On what the importance of features is measured in each fold.

    Attributes:
        target: column that members are judged on.
        rows: of each block of judged eras; see models/training/importance.py.
    """

    target: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """A member to be trained.

    Attributes:
        member: what is trained, and on what.
        seed: everything random starts here.
        store: folder of the era store.
        bins: where binned rows are kept; None: nowhere.
        code: of the features, by which or beside which it learns; None: it learns from the features.
        bases: where the bases of networks are kept; None: nowhere, and they are the same.
        folds: where finished folds are kept; None: nowhere, and they are the same.
        importance: None: it is not measured. A finished fold is kept with what was measured when it was made.
    """

    member: Member
    seed: int
    store: How[Path]
    code: Added[LearnedCode | None] = None
    bins: How[KeptBins | None] = None
    bases: How[KeptBases | None] = None
    folds: How[KeptFolds | None] = None
    importance: How[ImportanceSample | None] = None
