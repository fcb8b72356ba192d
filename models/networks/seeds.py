"""One network after the other, each from a seed of its own, on the same data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eraflow.machine.plan import Plan
from models.base.protocol import ProgressFn
from models.base.seeds import derived_seed
from models.networks.batches import EraBatches, EraRows, RowBatches
from models.networks.fitdata import FitData
from models.networks.furtherheads import with_further_targets
from models.networks.loop import train
from models.networks.losses import WithCorrelation
from models.networks.network import Network
from models.networks.recipe import Recipe
from models.networks.trainingrun import Look, Trained
from models.networks.validation import Validation

LEAST_ERAS = 4
"""Of an update where rows attend across their era: what an era tells by its cross-section differs from era to era, and
an update from one era learns that era. `python -m benchmarks.truths` with one era an update: .19 instead of .37."""


def train_seeds(
    network: Network,
    learnt: FitData,
    params: Mapping[str, Any],
    *,
    plan: Plan,
    seed: int,
    who: str,
    checkpoints: Path | None,
    progress: ProgressFn | None,
    look: Look | None = None,
) -> Iterator[Trained]:
    """The networks of a fit, each given out before the next one is begun.

    Args:
        network: the module and its own loss.
        learnt: the data.
        params: as in models/networks/parameters.py.
        plan, seed, who, progress: as for `models.networks.loop.train`; the first network has this very seed.
        look: as for `train`; one network is trained then.
        checkpoints: folder of this fit; each network after the first has one of its own in there.
    """
    if params["correlation_share"]:
        network = replace(network, loss=WithCorrelation(network.loss, float(params["correlation_share"])))
    if learnt.weights:
        network = with_further_targets(network, learnt.weights)
    recipe, validation = recipe_of(params), None
    if learnt.kept is not None:
        validation = Validation(network, learnt.x, learnt.y, learnt.kept, learnt.columns)
    count = int(params["seeds"]) if look is None else 1
    for number in range(count):
        own = seed if number == 0 else derived_seed(seed, number)
        yield train(
            network,
            *_rows_and_batches(network, learnt, recipe, own, by_era=params["correlation_share"] > 0),
            recipe=recipe,
            plan=plan,
            seed=own,
            who=who if count == 1 else f"{who} (network {number + 1} of {count})",
            validation=validation,
            length=learnt.length,
            checkpoints=checkpoints if checkpoints is None or number == 0 else checkpoints / f"network-{number}",
            progress=None if progress is None else _part(progress, number, count),
            look=look,
        )


def recipe_of(params: Mapping[str, Any]) -> Recipe:
    """The recipe that the params of a network state."""
    names = ("updates", "batch_size", "learning_rate", "weight_decay", "check_every", "patience", "deterministic")
    return Recipe(**{name: params[name] for name in names}, clip_norm=params["clip_norm"] or None)


def _rows_and_batches(network: Network, learnt: FitData, recipe: Recipe, seed: int, *, by_era: bool) -> tuple[Any, ...]:
    """Rows, targets and batches, as `train` takes them; a batch of whole eras has about as many rows as another."""
    if network.takes_offsets:
        targets, offsets = learnt.targets_of_all_rows(), learnt.eras
        eras = max(LEAST_ERAS, _eras(recipe, offsets))
        return EraRows(learnt.x, learnt.columns), targets, EraBatches(offsets, targets, eras, seed)
    if by_era:
        offsets = learnt.known_eras
        return learnt.rows, learnt.targets, EraBatches(offsets, learnt.targets, _eras(recipe, offsets), seed)
    return learnt.rows, learnt.targets, RowBatches(learnt.rows.n_rows, recipe.batch_size, seed)


def _eras(recipe: Recipe, offsets: Any) -> int:
    return max(1, round(recipe.batch_size * (len(offsets) - 1) / int(offsets[-1])))


def _part(progress: ProgressFn, number: int, count: int) -> ProgressFn:
    return lambda done, total, unit: progress(number * total + done, count * total, unit)
