"""An ensemble as plain data: text, bytes, arrays and numbers, which any Python can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eraflow.errors import EraflowError
from models.bags.bagmodel import BagModel
from models.base.protocol import Model
from models.base.rows import LEVELS
from models.base.wholeeras import needs_whole_eras
from models.boosters.booster import BoosterModel
from models.compression.codedmodel import CodedModel
from models.compression.encoder import Encoder
from models.delivery.lightgbmtrees import tree_arrays
from models.delivery.shippedparts import BAG, BOOSTERS
from models.delivery.treearrays import tree_predictions
from models.ensembles.blends import find_blend
from models.ensembles.ensemble import Ensemble
from models.networks.networkmodel import NetworkModel

PROOF_ROWS = 300


class NotExportableError(EraflowError):
    """A member of the ensemble cannot be shipped as plain data, such as a model of a user's own class.

    Leave it out of the ensemble that is uploaded, or submit predictions instead of a model.
    """

    code = "not_exportable"


def shipped_ensemble(ensemble: Ensemble) -> dict[str, Any]:
    """What `models.delivery.livepredictor.make_predict` needs of an ensemble.

    Returns:
        signature, features (names in the order of the columns), weights (float64[k]), blend (`module:name`), neutralise
        (proportion and positions of columns, or None) and parts: see `models.delivery.shippedparts.part_predictions`.

    Raises:
        NotExportableError: a member cannot be expressed in this way.
    """
    neutralise = None
    if ensemble.neutralises:
        told, place = ensemble.description["neutralise"], {name: at for at, name in enumerate(ensemble.features)}
        whole = told["features"] == list(ensemble.features)
        columns = None if whole else np.array([place[name] for name in told["features"]], dtype=np.int64)
        neutralise = {"proportion": float(told["proportion"]), "columns": columns}
    return {
        "signature": ensemble.signature,
        "features": list(ensemble.features),
        "weights": ensemble.weights,
        "blend": blend_place(ensemble),
        "neutralise": neutralise,
        "parts": [member_part(name, model) for name, model in ensemble.members.items()],
    }


def function_names(shipped: dict[str, Any]) -> list[str]:
    """The functions, `module:name`, that a shipped ensemble needs, each once."""
    found = [shipped["blend"], *_functions_of(shipped["parts"])]
    return list(dict.fromkeys(found))


def _functions_of(parts: Sequence[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        if "function" in part:
            yield part["function"]
        yield from _functions_of(part.get("parts", ()))


def blend_place(ensemble: Ensemble) -> str:
    """Where the function stands that makes one prediction of the members', `module:name`."""
    return _place(find_blend(ensemble.description["method"]).combine)


def member_part(name: str, model: Model) -> dict[str, Any]:
    """A member as plain data; see `models.delivery.shippedparts.part_predictions`.

    Raises:
        NotExportableError: it cannot be expressed in this way.
    """
    common: dict[str, Any] = {"name": name, "encoder": None, "use": None}
    inner: Any = model
    if isinstance(model, CodedModel):
        inner, encoder, use = model.parts
        common = {"name": name, "encoder": _encoder(encoder), "use": use}
    if isinstance(inner, BagModel):
        return {**common, "columns": None, "form": BAG, **_bag(name, inner)}
    common["columns"] = None if inner.columns is None else np.array(inner.columns, dtype=np.int64)
    if isinstance(inner, BoosterModel) and inner.library in BOOSTERS:
        trees = _trees(inner) if inner.library == "lightgbm" else None
        if trees is not None:
            return {**common, "form": "trees", "trees": trees}
        return {**common, "form": inner.library, "content": inner.portable()}
    if isinstance(inner, NetworkModel):
        return {**common, "form": "network", **_network(inner)}
    raise NotExportableError(
        f"{name} is a model of kind {inner.kind}, which cannot be written as plain numbers",
        "blend without it for an upload, or submit predictions (a CSV) for this slot",
    )


def _bag(name: str, bag: BagModel) -> dict[str, Any]:
    """Its parts, each of which cuts its own columns from all."""
    fitted = zip(bag.parts, bag.fitted, strict=True)
    return {
        "parts": [member_part(f"{name}, part {part.number}", one.model) for part, one in fitted],
        "weights": [part.weight for part in bag.parts],
    }


def _trees(model: BoosterModel) -> dict[str, Any] | None:
    """The trees as arrays, where these say the same to the last bit; None where the library has to predict."""
    trees = tree_arrays(model.portable().decode("utf-8"))
    if trees is None:
        return None
    codes = np.random.default_rng(0).integers(0, LEVELS, (PROOF_ROWS, model.n_features), dtype=np.int8)
    seen = codes if model.columns is None else np.take(codes, model.columns, axis=1)
    return trees if np.array_equal(tree_predictions(trees, seen), model.predict(codes)) else None


def _network(model: NetworkModel) -> dict[str, Any]:
    centre, scale = model.target_scale
    return {
        "function": _place(model.array_function),
        "whole_eras": needs_whole_eras(model),
        "networks": [dict(one) for one in model.networks],
        "centre": centre,
        "scale": scale,
    }


def _encoder(encoder: Encoder) -> dict[str, Any]:
    return {"weights": dict(encoder.weights), "cuts": encoder.cuts, "active": np.array(encoder.active, dtype=bool)}


def _place(function: Any) -> str:
    """Where a function stands; the collector of its source refuses what is none of a module's own."""
    return f"{function.__module__}:{function.__qualname__}"
