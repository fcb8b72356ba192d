"""A model that was fitted on a code: it carries the encoder, so that it predicts from the features themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.machine.plan import Plan
from models.base.protocol import (
    MODEL_FILE,
    Codes,
    DamagedModelError,
    FloatArray,
    Model,
    ProgressFn,
    TrainingDataError,
    read_description,
)
from models.base.wholeeras import Offsets, needs_whole_eras, predict_in_eras
from models.compression.codedstore import CodeUse
from models.compression.encoder import DESCRIPTION, Encoder

INNER, ENCODER = "model", "encoder"
"""Folders of the model and of its encoder."""
USES: tuple[CodeUse, ...] = ("beside", "instead")


class CodedModel:
    """A fitted model with the encoder of its window; see `models.base.protocol.Model`.

    Attributes:
        kind: of the model.
        columns: None: the encoder takes all features.
        needs_whole_eras: as the model says.

    Args:
        model: as it was fitted on features and code, or on the code alone.
        encoder: of the same window.
        use: which of both.
    """

    columns = None

    def __init__(self, model: Model, encoder: Encoder, use: CodeUse) -> None:
        self._model, self._encoder, self._use = model, encoder, use
        self.kind = model.kind
        self.needs_whole_eras = needs_whole_eras(model)

    @property
    def parts(self) -> tuple[Model, Encoder, CodeUse]:
        """What it is put together of."""
        return self._model, self._encoder, self._use

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
    ) -> None:
        """It is fitted before it is put together.

        Raises:
            TrainingDataError: always.
        """
        raise TrainingDataError(
            f"this {self.kind} model belongs to the code that it was fitted on", "make a new model and a new code"
        )

    def predict(self, x: Codes, *, plan: Plan | None = None, eras: Offsets | None = None) -> FloatArray:
        """float64[n]: the model's predictions of the features x, int8[n, f], with their code.

        Args:
            x: all features of the data it was fitted on.
            plan: as for the model.
            eras: offsets of the whole eras in x, for a model that asks for them.

        Raises:
            DamagedModelError: x has another number of features.
            StageNaN: a code or a prediction is not finite.
        """
        used = plan or Plan()
        codes = self._encoder.codes(x, threads=used.threads)
        seen = codes if self._use == "instead" else np.concatenate([x, codes], axis=1)
        offsets = np.array([0, len(x)], dtype=np.int64) if eras is None else eras
        return predict_in_eras(self._model, seen, offsets, plan=plan)

    def save(self, folder: Path) -> None:
        """Write the model, its encoder and, last, `model.json`, which tells of both what a model tells of itself."""
        self._model.save(folder / INNER)
        self._encoder.save(folder / ENCODER)
        told = read_description(folder / INNER)
        kept = ("kind", "params", "needs_whole_eras", "trained_with", "library", "library_version", "own")
        file = f"{ENCODER}/{DESCRIPTION}"
        description = {
            **{name: told[name] for name in kept if name in told},
            "n_features": self._encoder.n_features,
            "code": {"use": self._use, "size": self._encoder.size, "active": sum(self._encoder.active)},
            "file": file,
            "sha256": file_sha256(folder / file),
        }
        write_json(folder / MODEL_FILE, description)


def load_coded(folder: Path, model: Model) -> Any:
    """Put a model, which was loaded from `folder / INNER`, together with its encoder.

    Raises:
        DamagedModelError: the encoder is missing or changed.
    """
    told = read_description(folder)
    use = told["code"].get("use") if isinstance(told["code"], dict) else None
    path = folder / ENCODER / DESCRIPTION
    if use not in USES or not path.is_file() or file_sha256(path) != told["sha256"]:
        raise DamagedModelError(f"{folder} does not hold the encoder it describes", "train it again")
    return CodedModel(model, Encoder.load(folder / ENCODER), use)
