"""Simulated tournaments with a known truth: members of planted skill, decay and correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.scoring.ranking import EraGroups
from models.base.protocol import FloatArray
from models.ensembles.eratables import KnownTruth

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
CUTS = (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class Tournament:
    """Members float64[n, k], the eras of the rows, their weeks and the truth."""

    members: FloatArray
    groups: EraGroups
    weeks: npt.NDArray[np.int64]
    truth: KnownTruth


def tournament(
    skills: Sequence[float] | FloatArray | Sequence[Sequence[float]],
    *,
    eras: int = 120,
    rows: int = 200,
    seed: int = 0,
    alike: float = 0.5,
    wander: float = 0.0,
    meta_from: int = 0,
    shuffled: bool = False,
) -> Tournament:
    """Each member is its skill times the target's signal, plus a noise that all share and one of its own.

    Args:
        skills: of each member, about its CORR; a row an era, or one for all eras.
        eras, rows: how many there are; rows of an era.
        seed: everything is drawn from it.
        alike: share of the noise's variance that members have in common.
        wander: how far the skill of every member moves from era to era.
        meta_from: the first era that the meta model covers.
        shuffled: permute the target within each era.
    """
    random = np.random.default_rng(seed)
    given = np.asarray(skills, dtype=float)
    skill = np.broadcast_to(given, (eras, given.shape[-1]))
    members, targets, metas = [], [], []
    for era in range(eras):
        signal = random.standard_normal(rows)
        shared = random.standard_normal(rows)
        moved = skill[era] + wander * random.standard_normal(skill.shape[1])
        noise = np.sqrt(alike) * shared[:, None] + np.sqrt(1 - alike) * random.standard_normal((rows, skill.shape[1]))
        members.append(signal[:, None] * moved + noise)
        target = LEVELS[np.searchsorted(np.quantile(signal, CUTS), signal)]
        targets.append(random.permutation(target) if shuffled else target)
        metas.append(0.02 * signal + shared if era >= meta_from else np.full(rows, np.nan))
    truth = KnownTruth(np.concatenate(targets), np.concatenate(metas), None)
    return Tournament(np.concatenate(members), EraGroups.from_sizes([rows] * eras), np.arange(1, eras + 1), truth)
