"""Small data whose features are a few factors with noise, and the code of it, learnt in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.erastore.erareader import EraStore
from models.compression.codedstore import LearnedCode
from models.compression.job import CodeJob, CodeRecipe
from models.compression.stage import LIVE
from tests.models.planted import Planted, windows_of

FACTORS = 3
RECIPE = CodeRecipe(size=5, hidden=(24,), updates=60, beta=0.2, warmup=0.3)
GROUPS = {"first": tuple(f"feature_{i:02d}" for i in range(4)), "second": tuple(f"feature_{i:02d}" for i in (4, 5))}


def factor_data(*, eras: int = 60, rows: int = 60, features: int = 12, seed: int = 0) -> Planted:
    """int8[n, f] features that the factors explain nearly whole; the target is the first factor with noise."""
    rng = np.random.default_rng(seed)
    n = eras * rows
    factors = rng.normal(size=(n, FACTORS))
    wide = factors[:, np.arange(features) % FACTORS] + 0.3 * rng.normal(size=(n, features))
    x = np.digitize(wide, np.quantile(wide, [0.2, 0.4, 0.6, 0.8])).astype(np.int8)
    y = np.digitize(factors[:, 0] + rng.normal(size=n), [-2.5, -1, 1, 2.5]) / 4
    return Planted(x, y, np.repeat(np.arange(1, eras + 1), rows))


def job_of(store: EraStore, **over: Any) -> CodeJob:
    """The code of two windows and of live; `recipe` may be a dictionary of what differs."""
    recipe = replace(RECIPE, **over.pop("recipe", {}))
    windows = windows_of(store.eras, first=30, folds=2)
    spans = (*((window.train[0], window.test[-1]) for window in windows), (store.eras[0], store.eras[-1]))
    usual = {"windows": windows, "final_eras": store.eras, "spans": spans, "groups": GROUPS, "seed": 7}
    return CodeJob(recipe=recipe, store=store.path, **{**usual, **over})


def code_of(job: CodeJob, folder: Path, use: Any) -> LearnedCode:
    labels = (*(str(window.index) for window in job.windows), LIVE)
    return LearnedCode(use=use, size=job.recipe.size, labels=labels, spans=job.spans, folder=folder)
