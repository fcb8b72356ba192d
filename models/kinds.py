"""From the name of a kind of model to its class, which is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from eraflow.kinds import KINDS, find
from eraflow.machine.estimate import WEIGHT_BYTES
from eraflow.ownkinds import is_own
from models.bags.bagmodel import BAG, BagModel, part_folder, read_parts
from models.bags.explained import ExplainedBag
from models.bags.parts import BagPart
from models.base.protocol import Explained, Model, read_description
from models.boosters.bincache import BinCache
from models.compression.codedmodel import INNER, load_coded
from models.networks.basestore import BaseStore
from models.own.ownclass import class_of
from models.own.ownmodel import OwnModel

FINISHED_BYTES = 12
"""Of each weight of a network that is trained: itself, and twice more while the model is written."""


def model_class(kind: str) -> Any:
    """The class of one of Eraflow's kinds of models.

    Raises:
        UnknownKindError: there is no such kind.
    """
    return _named(find(kind).path)


def count_weights(kind: str, params: Mapping[str, Any], columns: int) -> int:
    """How many weights a neural model of these params has on so many columns; 0 for a kind without a network."""
    counter = find(kind).weights
    return int(_named(counter)(params, columns)) if counter else 0


def held_weights(kind: str, fits: Sequence[Mapping[str, Any]], columns: int) -> int:
    """The same for what is expected of the memory of several fits, given by their params, one after the other.

    The largest is trained; each network before the last one, of `seeds` or of another fit, is kept once it is trained.
    """
    sizes = [(count_weights(kind, params, columns), _networks(params)) for params in fits]
    kept = sum(weights * networks for weights, networks in sizes)
    largest = max(weights for weights, _ in sizes)
    return round(largest + (kept - largest) * FINISHED_BYTES / WEIGHT_BYTES)


def _networks(params: Mapping[str, Any]) -> int:
    seeds = params.get("seeds", 1)
    return seeds if isinstance(seeds, int) and seeds > 1 else 1


def thread_bytes(kind: str, params: Mapping[str, Any], era_rows: float) -> float:
    """Bytes that each thread holds in training beside what the kind's `cost` says, with eras of so many rows."""
    counter = find(kind).thread_bytes
    return float(_named(counter)(params, era_rows)) if counter else 0.0


def _named(path: str) -> Any:
    """What stands in a module under a name; the module is imported now."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def make_model(
    kind: str,
    params: Mapping[str, Any] | None = None,
    *,
    scratch: Path | None = None,
    checkpoints: Path | None = None,
    columns: Sequence[int] | None = None,
    bins: BinCache | None = None,
    source: str = "",
    groups: Mapping[str, Sequence[int]] | None = None,
    bases: BaseStore | None = None,
    parts: Sequence[BagPart] | None = None,
) -> Model:
    """A new model; its parameters are tried on a few rows first, so that a wrong one is named before the work begins.

    Args:
        kind: as in eraflow/kinds.py.
        params: overrides of the model's own settings.
        scratch: folder for files that live as long as a fit; the system's temporary folder when None.
        checkpoints: folder that belongs to this very fit (its rows, target, params and seed) and outlives a killed
            attempt; a model that can, goes on from what it finds there. None: no checkpoints.
        columns: ascending positions of the columns of x that the model uses; None: all. It still takes the full x.
        bins: where finished bins are kept between fits; None: nowhere. LightGBM uses it.
        source: of a user's own kind, the sha256 that its source must have; empty: any.
        groups: name -> positions in x of the named groups of features, for a kind that takes them.
        bases: where bases are kept, for a kind that has some; None: nowhere.
        parts: the fits that it is the average of, each with its own params and columns; None: it is one fit.

    Raises:
        UnknownKindError: there is no such kind.
        ModelSettingsError: unknown parameter, or a value that the library refuses.
        ModelFileError, ModelClassError, ModelPackageError: a user's own kind cannot be used.
    """
    if parts is not None:
        return _bag(kind, params or {}, parts, checkpoints, source, bins, scratch=scratch, groups=groups)
    if kind not in KINDS and is_own(kind):
        own = class_of(kind, source)
        return OwnModel(own, params=params, scratch=scratch, checkpoints=checkpoints, columns=columns)
    row = find(kind)
    given = {**({"groups": groups} if row.takes_groups else {}), **({"bases": bases} if row.keeps_bases else {})}
    model: Model = model_class(kind)(
        params=params, scratch=scratch, checkpoints=checkpoints, columns=columns, bins=bins, **given
    )
    return model


def _bag(
    kind: str,
    params: Mapping[str, Any],
    parts: Sequence[BagPart],
    checkpoints: Path | None,
    source: str,
    bins: BinCache | None,
    **given: Any,
) -> Model:
    """A bag of a kind; the parameters of each recipe are tried out. Only bins of all eras are worth keeping."""
    tried: list[Mapping[str, Any]] = []
    explained = True
    for part in parts:
        if part.params not in tried:
            explained &= isinstance(make_model(kind, part.params, source=source), Explained)
            tried.append(part.params)

    def make(part: BagPart, kept: Path | None) -> Model:
        own = bins if part.step == 1 else None
        more = {"checkpoints": kept, "columns": part.columns, "bins": own, "source": source, **given}
        return make_model(kind, part.params, **more)

    neural = kind in KINDS and KINDS[kind].neural
    bag = ExplainedBag if explained else BagModel
    model: Any = bag(kind, params, parts, make, load_model, checkpoints, neural=neural)
    return cast(Model, model)


def load_model(folder: Path) -> Model:
    """The model that was saved in `folder`, whatever its kind.

    Raises:
        DamagedModelError: it cannot be read.
        ModelPackageError: the package of a user's own kind is gone.
    """
    description = read_description(folder)
    if "code" in description:
        coded: Model = load_coded(folder, load_model(folder / INNER))
        return coded
    if BAG in description:
        return _load_bag(folder, description)
    if "own" in description:
        return OwnModel.load(folder)
    model: Model = model_class(str(description["kind"])).load(folder)
    return model


def _load_bag(folder: Path, description: Mapping[str, Any]) -> Model:
    parts, kind = read_parts(folder, description), str(description["kind"])
    models = [load_model(folder / part_folder(part.number)) for part in parts]
    bag = ExplainedBag if all(isinstance(model, Explained) for model in models) else BagModel

    def make(part: BagPart, kept: Path | None) -> Model:
        return make_model(kind, part.params, checkpoints=kept, columns=part.columns)

    loaded: Any = bag(kind, description["params"], parts, make, load_model)
    return cast(Model, loaded.with_models(models, int(description["n_features"])))
