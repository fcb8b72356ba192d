"""The name by which a finished fold is known in later weeks: a hash of everything that decides its bytes."""

from __future__ import annotations

import platform
from dataclasses import asdict

from eraflow.disk.digest import value_sha256
from eraflow.erastore.eradigests import rows_digest
from eraflow.kinds import LIBRARIES
from eraflow.runs.provenance import versions_of
from models.training.learningplan import learning_plan
from models.training.trainer import Trainer

BESIDE = ("accelerate", "peft", "numpy", "scipy", "polars")
"""Libraries whose version can change a byte of a fold, beside those of the kinds."""


def fold_key(trainer: Trainer, position: int, code: str) -> str | None:
    """The name of a fold: what is learnt and how, from which rows, by which code and libraries; not in which run.

    Neither the place of the window among the others is in it nor what else the store holds, because both change when
    another week comes, and the fold does not.

    Returns:
        sha256, or None where the store does not tell of its rows.
    """
    member, store, window = trainer.member, trainer.store, trainer.member.windows[position]
    span = store.eras[store.eras.index(window.train[0]) : store.eras.index(window.train[-1]) + 1]
    learnt = (member.target, *member.also, *([] if member.benchmark is None else [member.benchmark]))
    importance = trainer.importance
    looked = () if importance is None else (importance.target,)
    rows = [rows_digest(store, span, learnt), rows_digest(store, window.test, looked, ids=True)]
    if None in rows:
        return None
    parts = trainer.parts(position)
    del parts["rows"]  # of the whole store
    return value_sha256(
        {
            **parts,
            "window": [list(window.train), list(window.test), window.purge_weeks],
            "seed": trainer.seed_of(position),
            "data": rows,
            "importance": None if importance is None else asdict(importance),
            "plan": [learning_plan(trainer.plan), trainer.plan.device],
            "code": code,
            "made by": [platform.python_version(), platform.machine(), versions_of((*LIBRARIES, *BESIDE))],
        }
    )
