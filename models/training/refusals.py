"""What the learners themselves refuse of the settings, found out before anything is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eraflow.data.memberbag import recipes_of
from eraflow.data.offer import check_horizons
from eraflow.kinds import find
from eraflow.machine.apart import again_if_killed
from eraflow.machine.isolate import run_isolated
from eraflow.runs.scratch import scratch_folder
from eraflow.settings.bag import STANDARD
from eraflow.settings.models import ModelSettings
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings
from models.base.libraries import check_code_library, missing_library
from models.kinds import make_model

TRY_SECONDS = 300.0
_TAKEN: list[list[dict[str, Any]]] = []  # the command and its flow ask the same in one process


def refuse_settings(settings: RunSettings, log: Callable[[str], None]) -> None:
    """What needs neither a server nor data: params that a learner refuses, targets without a horizon.

    Raises:
        ModelSettingsError, AliasTargetError, UnknownHorizonError: it is wrong.
        MissingLibraryError: a code of the features is wanted without torch.
        ModelFileError, ModelClassError, ModelPackageError: a user's own model cannot be used.
    """
    check_horizons(settings.data, settings.auxiliary_targets)
    check_code_library(settings)
    wanted = members_to_try(settings.models)
    if not wanted or wanted in _TAKEN:
        return
    with scratch_folder("eraflow-try-") as scratch:  # in a child, as a library may abort
        target, values = f"{__name__}:try_members", {"models": wanted}
        limits: dict[str, Any] = {"memory_mb": None, "timeout_s": TRY_SECONDS, "threads": 1}
        again_if_killed(lambda: run_isolated(target, values, log=log, folder=scratch / "work", **limits), log)
    _TAKEN.append(wanted)


def members_to_try(models: Sequence[ModelSettings]) -> list[dict[str, Any]]:
    """Kind, params and source of the members that are a user's own, or whose params no profile has, each once.

    Of a bag each recipe counts, unless it is one of the usual bags'.
    """
    usual = [(model.kind, params) for profile in PROFILES for model in _models(profile) for params in _params(model)]
    usual += [(kind, dict(recipe.params)) for kind, recipes in STANDARD.items() for recipe in recipes]
    found: list[dict[str, Any]] = []
    for model in models:
        own = find(model.kind).source
        for params in _params(model):
            one = {"kind": model.kind, "params": params, "source": own}
            if (
                missing_library(model.kind) is None
                and (params or own)
                and (model.kind, params) not in usual
                and one not in found
            ):
                found.append(one)
    return found


def _params(model: ModelSettings) -> list[dict[str, Any]]:
    """The params that a member's fits are given."""
    if not model.bag.wanted:
        return [model.params]
    return [recipe.params for recipe in recipes_of(model.bag, model.kind, model.params)]


def _models(profile: str) -> list[ModelSettings]:
    return RunSettings(**{"profile": profile}).models


def try_members(*, models: Sequence[Mapping[str, Any]]) -> None:
    """Make each learner once; it tries its params on a few made-up rows. To be called in a child.

    Raises:
        ModelSettingsError: a learner does not know a parameter, or refuses its value.
        MissingLibraryError: its parameters ask for a library that is not installed.
    """
    for model in models:
        made: Any = make_model(str(model["kind"]), model["params"], source=str(model["source"]))
        if hasattr(made, "check_installed"):
            made.check_installed()
