"""The parameters that members are trained with: the settings' own, over those that a search has kept.

Everything about the search is imported where it is needed: a week that neither searches nor uses what was found does
not wait for Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import get_run_logger

from eraflow.errors import EraflowError, SettingsError
from eraflow.scoring.payout import TODAY, Payout
from eraflow.settings.features import in_short
from eraflow.settings.models import ModelSettings
from tasks.features import Features
from tasks.run import Run


class NotSearchedYetError(SettingsError):
    """A member is to start from searched parameters, and no search has kept any for it."""

    code = "not_searched_yet"


def search_first(run: Run, features: Features, payout: Payout = TODAY) -> None:
    """Search for every booster before training, when the settings ask for it.

    The week is not lost with it: where every search failed, the models start from what an earlier one kept, or as they
    stand. Each lost search was told already.

    Args:
        run: the settings and the folder.
        features: the era store and the windows; the search sees nothing of what is judged later.
        payout: what an era pays, where that is maximised.

    Raises:
        SettingsError: a setting is wrong.
    """
    if not run.settings.search.before_training:
        return
    from tasks.search import search_all

    try:
        search_all(run, features, payout)
    except SettingsError:
        raise
    except EraflowError as error:
        get_run_logger().error("the week goes on without a search: %s", error)


def tuned_models(run: Run) -> list[ModelSettings]:
    """The members with the parameters that they are trained with.

    A model that is marked as tuned must have been searched for. One that this very run has searched for starts from
    what was found; where that search was lost, from what an earlier one kept, or as it stands.

    Raises:
        NotSearchedYetError: a model is marked as tuned, and nothing was kept for it.
        DamagedBestError: what was kept cannot be read.
    """
    return [_tuned(run, model) for model in run.settings.models]


def _tuned(run: Run, model: ModelSettings) -> ModelSettings:
    if not (model.tuned or _was_searched(run, model)):
        return model
    from models.search.best import tuned_params
    from tasks.search import key_of

    kept = tuned_params(run.settings.home_path, model.kind, key_of(run, model), model.params)
    if kept is not None:
        get_run_logger().info("%s starts from what was searched: %s", model.name, kept or "the defaults were kept")
        return _starting_from(kept, model)
    if model.tuned:
        target = model.target or run.settings.data.target
        raise NotSearchedYetError(
            f"{model.name} is to start from searched parameters, but no search for {model.kind} on {target} "
            f"(features {in_short(run.settings.data.features)}, data {run.settings.data.version}) is kept in "
            f"{run.settings.home_path / 'search'}",
            "run `eraflow search` with the same settings first, or set search.before_training=true",
        )
    get_run_logger().warning("%s starts as it stands: its search kept nothing", model.name)
    return model


def _starting_from(kept: Mapping[str, Any], model: ModelSettings) -> ModelSettings:
    """The member with what was found: below its own params, and below the recipes that the settings state of a bag.

    The usual recipes of a bag lie below both.
    """
    from models.search.space import without

    recipes = [
        recipe.model_copy(update={"params": {**without(model.kind, kept, recipe.params), **recipe.params}})
        for recipe in model.bag.recipes
    ]
    if recipes:
        return model.model_copy(update={"bag": model.bag.model_copy(update={"recipes": recipes})})
    return model.model_copy(update={"params": {**kept, **model.params}})


def _was_searched(run: Run, model: ModelSettings) -> bool:
    if not run.settings.search.before_training:
        return False
    from tasks.search import searched_models

    return model.name in [searched.name for searched in searched_models(run)]
