"""An ensemble with a member of every kind, and the function that is shipped of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eraflow.kinds import KINDS
from eraflow.scoring.ranking import EraGroups
from models.base.wholeeras import FitEras, fit_in_eras
from models.compression.codedmodel import CodedModel
from models.compression.encoder import Encoder, cuts_of
from models.compression.vaearrays import code_means
from models.delivery.export import assemble, write_export_parts
from models.ensembles.ensemble import Ensemble, write_ensemble
from models.kinds import make_model
from tests.models.bags.bags import small_parts
from tests.models.planted import PLAN, TARGET, Planted, fast, plant

ROWS = 100
"""Of an era: less than a block of a network."""


@dataclass(frozen=True)
class Shipped:
    planted: Planted
    folder: Path
    ensemble: Ensemble
    pickle: Path

    def frame(self, eras: int = 1, seed: int = 5) -> pd.DataFrame:
        """Live rows that nobody has learnt from, ids as the index."""
        fresh = plant(eras=eras, rows=ROWS, seed=seed)
        frame = pd.DataFrame(fresh.x, columns=fresh.features)
        frame.insert(0, "era", [f"{era:04d}" for era in fresh.era] if eras > 1 else "X")
        return frame.set_index(pd.Index([f"n{row:015x}" for row in range(len(frame))], name="id"))

    def expected(self, frame: pd.DataFrame) -> np.ndarray:
        """What the pipeline itself predicts of the frame, before ranks."""
        codes = frame[list(self.ensemble.features)].to_numpy(np.int8)
        return self.ensemble.predict(np.ascontiguousarray(codes), EraGroups.from_labels(frame["era"].to_numpy()))


def encoder_of(planted: Planted, size: int = 4) -> Encoder:
    """An encoder with weights by chance: what is compared is that they are used alike."""
    rng = np.random.default_rng(0)
    width = planted.x.shape[1]
    shapes = {"encoder.0.weight": (8, width), "encoder.0.bias": 8, "encoder.1.weight": 8, "encoder.1.bias": 8}
    shapes |= {"mean.weight": (size, 8), "mean.bias": size}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    means = code_means(weights, rng.normal(size=(500, width)).astype(np.float32))
    return Encoder(weights, cuts_of(means), (True,) * (size - 1) + (False,), width)


def trained(
    kind: str, x: np.ndarray, y: np.ndarray, columns: list[int] | None = None, parts: Any = None, **params: Any
) -> Any:
    model = make_model(kind, {**fast(kind), **params}, columns=columns, parts=parts)
    offsets = np.arange(0, len(x) + 1, ROWS)
    fit_in_eras(model, x, y, FitEras(offsets, np.arange(len(offsets) - 1), 4), plan=PLAN, seed=3)
    return model


def members_of(planted: Planted) -> dict[str, Any]:
    """A model of every kind, and what a model may be besides: on a part of the columns, on a code, of whole eras."""
    x, y = planted.x, planted.y
    found = {kind: trained(kind, x, y) for kind in KINDS}
    found["few-columns"] = trained("xgboost", x, y, columns=[0, 1, 2, 7])
    found["deep"] = trained("lightgbm", x, y, num_leaves=200, max_depth=-1, min_data_in_leaf=1, max_bin=15)
    found["far-from-zero"] = trained("xgboost", x, y + 41.95)
    found["seeds"] = trained("mlp", x, y, seeds=2)
    found["across-eras"] = trained("transformer", x, y, across="era", points=4)
    found["bag"] = trained("lightgbm", x, y, parts=small_parts("lightgbm"))
    encoder = encoder_of(planted)
    codes = encoder.codes(x)
    found["beside"] = CodedModel(trained("lightgbm", np.concatenate([x, codes], axis=1), y), encoder, "beside")
    found["instead"] = CodedModel(trained("mlp", codes, y), encoder, "instead")
    seen = np.concatenate([x, codes], axis=1)
    found["bag-beside"] = CodedModel(trained("mlp", seen, y, parts=small_parts("mlp")[3:]), encoder, "beside")
    return found


def write_members(folder: Path, members: dict[str, Any], features: list[str], **over: Any) -> Path:
    for name, model in members.items():
        model.save(folder / "saved" / name)
    usual = {"method": "rank-gaussian", "weights": [1 / len(members)] * len(members), "target": TARGET}
    usual |= {"horizon_days": 20, "data_version": "v5.3", "features": features}
    places = {name: folder / "saved" / name for name in members}
    write_ensemble(folder / "ensemble", places, **{**usual, **over})
    return folder / "ensemble"


def exported(folder: Path, ensemble: Path) -> Path:
    """The pickle of an ensemble, put together by this Python."""
    write_export_parts(ensemble=str(ensemble), parts=str(folder / "parts"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assemble(folder / "parts", Path(sys.executable), folder / "model.pkl", python)
    return folder / "model.pkl"


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    for library in ("torch", "tabm", "transformers"):
        pytest.importorskip(library)
    folder, planted = tmp_path_factory.mktemp("shipped"), plant(eras=12, rows=ROWS)
    members = members_of(planted)
    weights = np.arange(1, len(members) + 1, dtype=float)
    neutralise = {"proportion": 0.5, "features": planted.features[2:7]}
    place = write_members(
        folder, members, planted.features, weights=list(weights / weights.sum()), neutralise=neutralise
    )
    return Shipped(planted, folder, Ensemble.load(place), exported(folder, place))


def run_alone(code: str, folder: Path, *arguments: str) -> str:
    """Run code in a Python that does not see this project, in a folder of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
