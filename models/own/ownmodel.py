"""A user's own class as a model: what every model promises around the five things that the class does itself."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import storage_errors, write_bytes, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.errors import EraflowError
from eraflow.machine.failures import classify
from eraflow.machine.plan import Plan
from eraflow.ownkinds import ModelClassError
from models.base.fitted import check_features, check_finite, check_saved_is_fitted
from models.base.protocol import (
    MODEL_FILE,
    Codes,
    DamagedModelError,
    FloatArray,
    ModelSettingsError,
    ProgressFn,
    read_description,
)
from models.base.rows import Columns, check_rows, tile_rows, tiles
from models.base.wholeeras import Offsets
from models.own.ownclass import OwnClass, class_again, class_in, failed_line

SAVED = "saved"
"""Folder of the model that belongs to the class."""
SOURCE = "source.py"
"""The copy of the user's file beside it: a saved model does not depend on the file's place or what becomes of it."""
WHOLE = 1 << 40
REAL = "iuf"
"""Kinds of NumPy's types that hold one real number."""


class OwnModelFailedError(EraflowError):
    """The code of a user's own model raised an error. The text says which, and in which line."""

    code = "own_model_failed"


class OwnModel:
    """An instance of the user's class.

    The class sees only the columns that are used. Rows whose target is NaN are in its x, too; it leaves them out.
    Row by row models predict in tiles, those that need whole eras era by era.

    Attributes:
        kind: `mine.py:Mine`, or the name of the entry point; it names no folder.
        n_features: width of the x it was fitted on; 0 before.
    """

    def __init__(
        self,
        own: OwnClass,
        *,
        params: Mapping[str, Any] | None = None,
        scratch: Path | None = None,
        checkpoints: Path | None = None,
        columns: Sequence[int] | None = None,
    ) -> None:
        self.own, self.kind, self.params = own, own.label, dict(params or {})
        self.n_features = 0
        self._columns = Columns(columns)
        takes = inspect.signature(own.learner).parameters
        offered = {"scratch": scratch, "checkpoints": checkpoints}
        given = {name: value for name, value in offered.items() if name in takes}
        try:
            self._learner: Any = own.learner(params=dict(self.params), **given)
        except (EraflowError, MemoryError):
            raise
        except Exception as error:
            raise ModelSettingsError(
                f"{self.kind} does not accept {self.params}{self._line(error)}: {type(error).__name__}: {error}",
                f"correct the params of {self.kind}, or its __init__",
            ) from error

    @property
    def columns(self) -> tuple[int, ...] | None:
        """The columns of x that it uses; None: all."""
        return self._columns.positions

    @property
    def needs_whole_eras(self) -> bool:
        """As its class says."""
        return self.own.needs_whole_eras

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
        eras: Offsets | None = None,
    ) -> None:
        """Learn; see `models.base.protocol.Model`.

        Raises:
            TrainingDataError: nothing to learn from, or arrays that do not fit.
            OwnModelFailedError: the class raised an error.
        """
        check_rows(x, y)
        self._columns.check(x.shape[1])
        whole = {"eras": eras} if self.needs_whole_eras else {}
        used = _sealed(x if self.columns is None else self._columns.of(x))
        self._called("fit", lambda: self._learner.fit(used, y, plan=plan, seed=seed, progress=progress, **whole))
        self.n_features = x.shape[1]

    def predict(self, x: Codes, *, plan: Plan | None = None, eras: Offsets | None = None) -> FloatArray:
        """float64[n]: one prediction a row.

        Raises:
            DamagedModelError: it was neither fitted nor loaded, or x has another number of features.
            ModelClassError: the class gave something else than one number a row.
            StageNaN: a prediction is not finite.
            OwnModelFailedError: the class raised an error.
        """
        check_features(self.kind, self.n_features, x, fitted=self.n_features > 0)
        result = np.empty(len(x), dtype=np.float64)
        for rows in self._parts(len(x), eras):
            # In row order whatever the order of x: the last bits of a sum depend on it.
            tile = np.ascontiguousarray(self._columns.of(x[rows]))
            result[rows] = self._predicted(_sealed(tile), plan or Plan())
        check_finite(self.kind, result)
        return result

    def save(self, folder: Path) -> None:
        """Let the class write into `folder/saved`, put the copy of its source beside it, and last `model.json`."""
        check_saved_is_fitted(self.kind, fitted=self.n_features > 0)
        place = Path(folder) / SAVED
        with storage_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        self._called("save", lambda: self._learner.save(place))
        if not any(path.is_file() for path in place.rglob("*")):
            raise ModelClassError(
                f"{self.kind}.save wrote nothing", "write what load needs into the folder it is given"
            )
        if self.own.content is not None:
            write_bytes(Path(folder) / SOURCE, self.own.content)
        write_json(Path(folder) / MODEL_FILE, self._description(place))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, by the copy of the source that lies there.

        Raises:
            DamagedModelError: a file is missing or changed.
            ModelPackageError: the package that the class comes from is gone.
        """
        description = read_description(folder)
        if _digest(folder / SAVED) != description["sha256"]:
            raise DamagedModelError(f"{folder} does not hold the model it describes", "train it again")
        own = _own_class(folder, description)
        model = cls(own, params=description.get("params"), columns=description.get("columns"))
        model.n_features = int(description["n_features"])
        model._learner = model._called("load", lambda: own.learner.load(folder / SAVED))
        return model

    def _description(self, place: Path) -> dict[str, Any]:
        origin = self.own.origin
        named = {"library": origin["file"], "library_version": origin["sha256"][:12]} if "file" in origin else {
            "library": origin["package"], "library_version": origin["version"]
        }  # fmt: skip
        return {
            "kind": self.kind,
            "n_features": self.n_features,
            **({} if self.columns is None else {"columns": list(self.columns)}),
            "params": self.params,
            **({"needs_whole_eras": True} if self.needs_whole_eras else {}),
            "trained_with": {},
            **named,
            "own": dict(origin),
            "file": SAVED,
            "sha256": _digest(place),
        }

    def _parts(self, rows: int, eras: Offsets | None) -> list[slice]:
        """What is predicted at once; it does not depend on the plan, lest the last bits of a product do."""
        if not self.needs_whole_eras:
            return list(tiles(rows, tile_rows(self._columns.count(self.n_features), WHOLE)))
        offsets = [0, rows] if eras is None else eras.tolist()
        return [slice(start, stop) for start, stop in pairwise(offsets) if stop > start]

    def _predicted(self, x: Codes, plan: Plan) -> npt.NDArray[np.floating[Any]]:
        whole = {"eras": np.array([0, len(x)], dtype=np.int64)} if self.needs_whole_eras else {}
        found: npt.NDArray[np.floating[Any]] = self._called(
            "predict", lambda: np.asarray(self._learner.predict(x, plan=plan, **whole))
        )
        if found.shape != (len(x),) or found.dtype.kind not in REAL:
            raise ModelClassError(
                f"{self.kind}.predict gave {found.dtype}{list(found.shape)} for {len(x)} rows",
                "return one number for each row, float64[n]",
            )
        return found

    def _called(self, name: str, work: Callable[[], Any]) -> Any:
        """What a method of the class gives; an error in it is told with its line, one of the machine stays as it is."""
        try:
            return work()
        except (EraflowError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            if classify(error) != "error":
                raise
            raise OwnModelFailedError(
                f"{self.kind} failed in {name}{self._line(error)}: {type(error).__name__}: {error}",
                "correct the class; the whole traceback is in the stage's log",
            ) from error

    def _line(self, error: BaseException) -> str:
        return failed_line(error, str(getattr(inspect.getmodule(self.own.learner), "__file__", "")))


def _sealed(x: Codes) -> Codes:
    """A view that cannot be written into: the rows belong to the other members and to what is neutralised, too."""
    view = x.view()
    view.flags.writeable = False
    return view


def _own_class(folder: Path, description: Mapping[str, Any]) -> OwnClass:
    origin = description["own"]
    if "file" not in origin:
        return class_again(origin, str(description["kind"]))
    path = folder / SOURCE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedModelError(f"{path} cannot be read: {error.strerror}", "train this model again") from error
    if hashlib.sha256(content).hexdigest() != origin["sha256"]:
        raise DamagedModelError(f"{path} is not the source that this model was trained by", "train this model again")
    return class_in(content, str(origin["class"]), folder / str(origin["file"]))


def _digest(place: Path) -> str:
    """One hash over everything that the class saved."""
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return value_sha256({path.relative_to(place).as_posix(): file_sha256(path) for path in files})
