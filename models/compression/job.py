"""What the stage that learns the code of the features takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.data.eras import Window
from eraflow.machine.job import How


@dataclass(frozen=True, kw_only=True)
class CodeRecipe:
    """How a code is learnt.

    Attributes:
        size: numbers in the code.
        hidden: sizes of the encoder's hidden layers; the decoder has them in reverse.
        updates: of the weights.
        beta: weight of the Kullback-Leibler divergence.
        warmup: share of the updates over which that weight rises from zero.
    """

    size: int
    hidden: tuple[int, ...]
    updates: int
    beta: float
    warmup: float


@dataclass(frozen=True, kw_only=True)
class CodeJob:
    """Windows whose codes are to be learnt.

    Attributes:
        windows: the code of each is learnt from its training eras alone.
        final_eras: what the code for live is learnt from.
        spans: first and last era, for each window and then for live, of the rows whose codes some member needs.
        recipe: how.
        groups: name -> features, of the named groups by which figures are told.
        seed: everything random starts here.
        store: folder of the era store.
    """

    windows: tuple[Window, ...]
    final_eras: tuple[str, ...]
    spans: tuple[tuple[str, str], ...]
    recipe: CodeRecipe
    groups: dict[str, tuple[str, ...]]
    seed: int
    store: How[Path]
