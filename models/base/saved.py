"""A saved model: one file of the learner's own, and beside it, written last, `model.json` that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_bytes, write_json
from eraflow.disk.digest import file_sha256
from eraflow.machine.plan import Plan
from models.base.protocol import MODEL_FILE, DamagedModelError, read_description


def write_model(folder: Path, file_name: str, content: bytes, description: Mapping[str, Any]) -> None:
    """Write the file and its description; the same content gives the same bytes.

    Args:
        description: kind, n_features, params, trained_with, library, library_version.
    """
    path = write_bytes(Path(folder) / file_name, content)
    write_json(Path(folder) / MODEL_FILE, {**description, "file": file_name, "sha256": file_sha256(path)})


def read_model(folder: Path, kind: str) -> tuple[dict[str, Any], Path]:
    """The description and the file it names, checked.

    Raises:
        DamagedModelError: a file is missing, changed or of another kind.
    """
    description = read_description(Path(folder))
    path = Path(folder) / str(description["file"])
    if description["kind"] != kind or not path.is_file() or file_sha256(path) != description["sha256"]:
        raise DamagedModelError(f"{folder} does not hold the {kind} model it describes", "train it again")
    return description, path


def trained_with(plan: Plan, *names: str, **figures: Any) -> dict[str, Any]:
    """What of a plan has changed a model, for its description: those of the named fields, and what followed.

    Args:
        plan: the plan it was trained under.
        names: the fields that this kind of model obeys.
        figures: what they came to, such as the number of trees.
    """
    return {**{name: getattr(plan, name) for name in names}, **figures}
