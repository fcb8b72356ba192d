"""One variational autoencoder for the eras of one window, by the training loop of all networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from models.base.protocol import ProgressFn
from models.base.rows import TrainingRows
from models.compression.collapse import CodeHealth
from models.compression.encoder import Encoder, cuts_of
from models.compression.figures import evenly, feature_means, told_of
from models.compression.job import CodeRecipe
from models.compression.vaearrays import of_encoder
from models.networks.torchlibrary import torch_library
from models.networks.weightfile import Arrays

BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1024, 2e-3, 0.01, 1.0
"""Of the training. On shared/market (95 features, 32 units, beta 1) 300 updates explained 63 % of the variance out of
sample at this rate, 59 % at half of it and 65 % at twice of it."""
SAMPLED_ROWS = 32_768
"""Rows learnt from on which levels are cut and the code is looked at: the share of a level is known to .2 %."""


@dataclass(frozen=True)
class FittedCode:
    """A code after its training.

    Attributes:
        weights: the module's state_dict as arrays.
        encoder: what makes codes of features.
        health: what it tells of the rows learnt from.
        means: float32[f], mean of each standardised feature in these rows.
        updates: of the weights.
    """

    weights: Arrays
    encoder: Encoder
    health: CodeHealth
    means: npt.NDArray[np.float32]
    updates: int


def fit_code(
    store: EraStore,
    eras: Sequence[str],
    recipe: CodeRecipe,
    *,
    plan: Plan,
    seed: int,
    who: str,
    checkpoints: Path,
    progress: ProgressFn,
) -> FittedCode:
    """Learn a code from all rows of `eras`, whatever their targets, and look at it.

    Args:
        store: the data.
        eras: in order; the rows between them are not looked at.
        recipe: how.
        plan: `rate_factor`, `work_factor`, `clip_norm` and `precision` change the result.
        seed: everything random starts here.
        who: name for the texts.
        checkpoints: folder of this fit.
        progress: told how many updates are done.

    Raises:
        LatentCollapseError: the code says nothing of the features.
        MissingLibraryError: torch is not installed.
        StageNaN, StageDiverged: the training went wrong.
        StorageError: a checkpoint cannot be written.
    """
    torch_library()
    from models.compression.vae import vae_network  # it needs torch
    from models.networks.batches import RowBatches
    from models.networks.loop import train
    from models.networks.recipe import Recipe

    rows = rows_of(store, eras, plan)
    course = Recipe(recipe.updates, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM)
    warmup = round(recipe.warmup * course.planned_updates(plan))
    trained = train(
        vae_network(rows.n_features, recipe.hidden, code=recipe.size, beta=recipe.beta, warmup=warmup),
        rows,
        rows.labels,
        RowBatches(rows.n_rows, BATCH_SIZE, seed),
        recipe=course,
        plan=plan,
        seed=seed,
        who=who,
        checkpoints=checkpoints,
        progress=progress,
    )
    weights = {name: tensor.numpy() for name, tensor in trained.module.state_dict().items()}
    return _looked_at(weights, rows, recipe, plan, who, trained.updates)


def rows_of(store: EraStore, eras: Sequence[str], plan: Plan) -> TrainingRows:
    """All rows of `eras`; their labels are 0, as there is nothing to predict."""
    first, last = store.eras.index(eras[0]), store.eras.index(eras[-1])
    span = store.eras[first : last + 1]
    wanted = np.isin(np.array(span), np.array(eras))
    labels = np.where(np.repeat(wanted, np.diff(store.offsets(span))), np.float32(0), np.float32(np.nan))
    return TrainingRows(store.matrix(span), labels, plan.rows_in_memory)


def _looked_at(
    weights: Arrays, rows: TrainingRows, recipe: CodeRecipe, plan: Plan, who: str, updates: int
) -> FittedCode:
    """The levels of its units and what it tells, from rows that it has learnt from."""
    sample = rows.take(evenly(rows.n_rows, SAMPLED_ROWS))
    means = feature_means(sample)
    told = told_of(weights, sample, means, threads=plan.threads)
    health = CodeHealth(told.divergences, told.explained())
    health.check(who, recipe.beta)
    encoder = Encoder(of_encoder(weights), cuts_of(told.code_means), health.active, sample.shape[1])
    return FittedCode(weights, encoder, health, means, updates)
