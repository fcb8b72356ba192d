"""The finished fits of a bag, kept beside the checkpoints of its learner: a killed bag does not fit them again.

checkpoints/part-NUMBER-SIGNATURE/model/       the model as it saves itself
checkpoints/part-NUMBER-SIGNATURE/part.json    written last: what cannot be read back from the model
checkpoints/part-NUMBER-SIGNATURE/fit/         what the learner keeps of a fit that is not finished
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from eraflow.disk.atomic import write_bytes, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from models.bags.parts import BagPart
from models.base.protocol import MODEL_FILE, DamagedModelError, Model

NOTE = "part.json"
MODEL, FIT = "model", "fit"


class KeptPoint(NamedTuple):
    """A point of a learning curve, as `models.networks.progress.CurvePoint` has it, which needs torch."""

    update: int
    loss: float
    corr: float | None


Curve = tuple[KeptPoint, ...]


@dataclass(frozen=True)
class FittedPart:
    """A fitted model of a bag.

    Attributes:
        model: as it predicts.
        saved: a folder in which it lies already; None: none.
        lengths, curves: of its networks, as `models.networks.networkmodel.NetworkModel` tells them; of others none.
    """

    model: Model
    saved: Path | None = None
    lengths: tuple[float, ...] = ()
    curves: tuple[Curve, ...] = ()

    @classmethod
    def of(cls, model: Model) -> FittedPart:
        """A model that was just fitted."""
        curves = getattr(model, "curves", ())
        points = tuple(tuple(KeptPoint(one.update, one.loss, one.corr) for one in curve) for curve in curves)
        return cls(model, None, tuple(getattr(model, "lengths", ())), points)

    def save(self, folder: Path) -> None:
        """Write the model; one that lies somewhere is copied, as not every library writes the bytes that it has read.

        So a bag that was killed and went on saves the bytes that it would have saved.
        """
        if self.saved is None or not (self.saved / MODEL_FILE).is_file():
            self.model.save(folder)
            return
        files = [path for path in sorted(self.saved.rglob("*")) if path.is_file() and path.name != MODEL_FILE]
        for path in (*files, self.saved / MODEL_FILE):
            write_bytes(folder / path.relative_to(self.saved), path.read_bytes())


class KeptParts:
    """Where the parts of one fit are kept.

    Args:
        folder: belongs to this very fit (its rows, target and seed) and outlives a killed attempt; None: nowhere.
        load: reads a saved model.
    """

    def __init__(self, folder: Path | None, load: Callable[[Path], Model]) -> None:
        self._folder, self._load = folder, load

    def checkpoints(self, part: BagPart) -> Path | None:
        """Where the learner of a part may keep its own checkpoints."""
        place = self._place(part)
        return None if place is None else place / FIT

    def read(self, part: BagPart) -> FittedPart | None:
        """The part that an earlier attempt finished; None: there is none that is whole."""
        place = self._place(part)
        if place is None:
            return None
        try:
            note = json.loads((place / NOTE).read_text(encoding="utf-8"))
            if note["sha256"] != file_sha256(place / MODEL / MODEL_FILE):
                return None
            curves = tuple(tuple(KeptPoint(*one) for one in curve) for curve in note["curves"])
            return FittedPart(self._load(place / MODEL), place / MODEL, tuple(map(float, note["lengths"])), curves)
        except (OSError, ValueError, KeyError, TypeError, DamagedModelError):
            return None

    def keep(self, part: BagPart, fitted: FittedPart) -> FittedPart:
        """Save a finished part, where parts are kept; its learner's own checkpoints are of no more use."""
        place = self._place(part)
        if place is None:
            return fitted
        fitted.model.save(place / MODEL)
        note: dict[str, Any] = {"sha256": file_sha256(place / MODEL / MODEL_FILE)}
        write_json(place / NOTE, {**note, "lengths": fitted.lengths, "curves": fitted.curves})
        shutil.rmtree(place / FIT, ignore_errors=True)
        return replace(fitted, saved=place / MODEL)

    def _place(self, part: BagPart) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"part-{part.number}-{value_sha256(part.described())[:12]}"
