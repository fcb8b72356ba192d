"""What each part of a shipped model must say of known rows, in a file beside its pickle.

The file holds arrays one after the other in NumPy's own format: a header (JSON as bytes), int8[n, f] codes, float64
[n, k] of the parts, float64[n] of the whole. So any Python with numpy can read it, and nothing in it can be executed.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import write_bytes
from eraflow.errors import EraflowError

ENDING = ".reference"


class ModelReferenceError(EraflowError):
    """The reference beside a shipped model is missing, damaged, or that of another pickle. Export the model again."""

    code = "model_reference"


@dataclass(frozen=True)
class Reference:
    """Known rows and what the models said of them where they were trained.

    Attributes:
        told: pickle_sha256, python, signature, features, parts (name, form and tolerance of each), estimate, run (the
            identity of the run that made it, or None).
        codes: int8[n, f], one era.
        members: float64[n, k], of each part.
        whole: float64[n], of the ensemble, before ranks.
    """

    told: dict[str, Any]
    codes: npt.NDArray[np.int8]
    members: npt.NDArray[np.float64]
    whole: npt.NDArray[np.float64]

    def write(self, path: Path) -> Path:
        """Write it whole or not at all."""
        buffer = io.BytesIO()
        header = np.frombuffer(json.dumps(self.told, sort_keys=True).encode("utf-8"), dtype=np.uint8)
        for array in (header, self.codes, self.members, self.whole):
            np.save(buffer, array, allow_pickle=False)
        return write_bytes(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read what `write` wrote.

        Raises:
            ModelReferenceError: it is missing or damaged.
        """
        try:
            with path.open("rb") as file:
                header, codes, members, whole = (np.load(file, allow_pickle=False) for _ in range(4))
            return cls(json.loads(header.tobytes()), codes, members, whole)
        except (OSError, ValueError, EOFError) as error:
            raise ModelReferenceError(f"{path} cannot be read: {error}", "export the model again") from error


def reference_path(pickle: Path) -> Path:
    """Where the reference of a pickle lies."""
    return pickle.with_name(pickle.name + ENDING)
