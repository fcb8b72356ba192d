"""An ensemble and its members in MLflow's own format, which loads and predicts where this project is not.

    ensemble/MLmodel           signature, loader, versions
             requirements.txt
             code/             the loader
             data/parts/       parts as plain data, and the source that was judged
    members/NAME/MLmodel       a booster: in its library's flavour; everything else: as the ensemble

`mlflow.pyfunc.load_model` needs of it numpy, scipy, pandas and the boosters' libraries; no torch, nothing of this
project, and no pickle. A booster that sees the features as they are is saved by its library's flavour
(`mlflow.lightgbm`, `mlflow.xgboost`, `mlflow.catboost`); bags, networks and members on a code of the features are the
shipped parts of `models/delivery/parts.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.tracking.mlflowlink import quiet_mlflow
from models.base.protocol import Model
from models.boosters.booster import BoosterModel
from models.delivery import assembly, pyfuncloader
from models.delivery.parts import NotExportableError, blend_place, member_part, shipped_ensemble
from models.delivery.partsfolder import write_parts
from models.delivery.shippedparts import BOOSTERS
from models.ensembles.ensemble import Ensemble

ENSEMBLE, MEMBERS = "ensemble", "members"
LOADER = "eraflow_saved_model"
"""Name of the loader in a saved model: one that no other package has."""
NEEDED = ("numpy", "scipy", "pandas", "cloudpickle")
FLAVOURS = {"lightgbm": ("lightgbm", {}), "xgboost": ("xgboost", {"model_format": "ubj"}), "catboost": ("catboost", {})}
"""A booster's library -> the flavour of MLflow, and the options it is saved with."""


def write_saved_models(*, ensemble: str, out: str) -> dict[str, Any]:
    """Write the ensemble to `out/ensemble` and each member to `out/members/NAME`. Runs in a child process.

    Returns:
        `members`: names that were written; `ensemble`: whether it was; `left_out`: name -> why a member, and with it
        the ensemble, cannot be.

    Raises:
        DamagedEnsembleError: something of the ensemble is missing or changed.
    """
    loaded, place = Ensemble.load(ensemble), Path(out)
    with storage_errors(place):
        (place / MEMBERS).mkdir(parents=True, exist_ok=True)
    saved: list[str] = []
    left_out: dict[str, str] = {}
    for name, model in loaded.members.items():
        try:
            save_member(place / MEMBERS / name, name, model, loaded)
            saved.append(name)
        except NotExportableError as error:
            left_out[name] = error.problem
    if not left_out:
        _save_parts(place / ENSEMBLE, shipped_ensemble(loaded), gives="ranks", features=loaded.features)
    return {"members": saved, "ensemble": not left_out, "left_out": left_out}


def save_member(folder: Path, name: str, model: Model, ensemble: Ensemble) -> None:
    """Write one member; its prediction is the raw one, before ranks.

    Raises:
        NotExportableError: it cannot be expressed without this project.
    """
    part = member_part(name, model)
    library = getattr(model, "library", "")
    if isinstance(model, BoosterModel) and library in FLAVOURS:
        columns = range(len(ensemble.features)) if part["columns"] is None else part["columns"].tolist()
        _save_booster(folder, model, [ensemble.features[column] for column in columns])
        return
    shipped = {**_alone(part, ensemble), "signature": ensemble.signature}
    _save_parts(folder, shipped, gives="raw", features=ensemble.features)


def _alone(part: Mapping[str, Any], ensemble: Ensemble) -> dict[str, Any]:
    """A shipped ensemble of this part alone."""
    return {
        "features": list(ensemble.features),
        "weights": np.ones(1),
        "blend": blend_place(ensemble),
        "neutralise": None,
        "parts": [dict(part)],
    }


def _save_parts(folder: Path, shipped: dict[str, Any], *, gives: str, features: Sequence[str]) -> None:
    quiet_mlflow()
    from mlflow import pyfunc

    staged = folder.with_name(f".{folder.name}.parts")
    data, code = staged / "parts", staged / f"{LOADER}.py"
    with storage_errors(staged):
        data.mkdir(parents=True)
        write_parts(data, shipped)
        write_json(data / "gives.json", gives)
        shutil.copyfile(assembly.__file__, data / "assembly.py")
        shutil.copyfile(str(pyfuncloader.__file__), code)
        pyfunc.save_model(
            folder,
            loader_module=LOADER,
            data_path=str(data),
            code_paths=[str(code)],
            signature=_signature(features, by_era=True),
            pip_requirements=_requirements(sorted(set(_libraries(shipped["parts"])))),
        )
        shutil.rmtree(staged)


def _save_booster(folder: Path, model: Any, features: Sequence[str]) -> None:
    quiet_mlflow()
    flavour, options = FLAVOURS[model.library]
    booster = BOOSTERS[model.library][0](model.portable())
    if model.library == "xgboost":
        booster.feature_names = list(features)
    if model.library == "catboost":
        booster.set_feature_names(list(features))
    with storage_errors(folder):
        import_module(f"mlflow.{flavour}").save_model(
            booster,
            folder,
            signature=_signature(features, by_era=False),
            pip_requirements=_requirements([model.library]),
            **options,
        )


def _libraries(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        if part["form"] in BOOSTERS:
            yield part["form"]
        yield from _libraries(part.get("parts", ()))


def _requirements(libraries: Sequence[str]) -> list[str]:
    """The versions that are installed here, which are those that the reference predictions were made with."""
    return [f"{name}=={metadata.version(name)}" for name in ("mlflow", *NEEDED, *libraries)]


def _signature(features: Sequence[str], *, by_era: bool) -> Any:
    """float64 columns, to which MLflow casts int8 codes and floats with NaN alike; and the era if there are several."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec("double", name) for name in features]
    era = [ColSpec("string", "era", required=False)] if by_era else []
    return ModelSignature(inputs=Schema([*columns, *era]), outputs=Schema([ColSpec("double", "prediction")]))
