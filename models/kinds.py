"""From the name of a kind of model to its class, which is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.base.protocol import Model, ModelSettingsError, read_description
from models.boosters.bincache import BinCache


def _lightgbm() -> Any:
    from models.boosters.lightgbm_model import LightGBMModel

    return LightGBMModel


def _xgboost() -> Any:
    from models.boosters.xgboost_model import XGBoostModel

    return XGBoostModel


def _catboost() -> Any:
    from models.boosters.catboost_model import CatBoostModel

    return CatBoostModel


def _mlp() -> Any:
    from models.networks.mlp import MlpModel

    return MlpModel


MODELS: dict[str, Callable[[], Any]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
    "mlp": _mlp,
}
"""Kind to a function that gives its class: a library is imported only when a model of its kind is wanted."""


def model_class(kind: str) -> Any:
    """The class of a kind of model.

    Raises:
        ModelSettingsError: there is no such kind.
    """
    if kind not in MODELS:
        raise ModelSettingsError(f"there is no model of kind {kind!r}", f"use one of {', '.join(MODELS)}")
    return MODELS[kind]()


def make_model(
    kind: str,
    params: Mapping[str, Any] | None = None,
    *,
    scratch: Path | None = None,
    checkpoints: Path | None = None,
    columns: Sequence[int] | None = None,
    bins: BinCache | None = None,
) -> Model:
    """A new model; its parameters are tried on a few rows first, so that a wrong one is named before the work begins.

    Args:
        kind: a key of `MODELS`.
        params: overrides of the model's own settings.
        scratch: folder for files that live as long as a fit; the system's temporary folder when None.
        checkpoints: folder that belongs to this very fit (its rows, target, params and seed) and outlives a killed
            attempt; a model that can, goes on from what it finds there. None: no checkpoints.
        columns: ascending positions of the columns of x that the model uses; None: all. It still takes the full x.
        bins: where finished bins are kept between fits; None: nowhere. LightGBM uses it.

    Raises:
        ModelSettingsError: unknown kind or parameter, or a value that the library refuses.
    """
    model: Model = model_class(kind)(
        params=params, scratch=scratch, checkpoints=checkpoints, columns=columns, bins=bins
    )
    return model


def load_model(folder: Path) -> Model:
    """The model that was saved in `folder`, whatever its kind.

    Raises:
        DamagedModelError: it cannot be read.
    """
    model: Model = model_class(str(read_description(folder)["kind"])).load(folder)
    return model
