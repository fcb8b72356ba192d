"""The ensemble of a run as one pickled function, with its reference beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import atomic_path, storage_errors
from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.rehearsal.reference import Reference, reference_path
from models.delivery import assembly
from models.delivery.estimate import estimate
from models.delivery.parts import shipped_ensemble
from models.delivery.partsfolder import write_parts
from models.delivery.references import reference_of
from models.ensembles.ensemble import Ensemble

REFERENCE = "reference"
ASSEMBLY_SECONDS = 600
TOLD_LINES = 4


class AssemblyError(EraflowError):
    """The interpreter that a model is for could not put it together. The text holds what it said."""

    code = "assembly"


def write_export_parts(*, ensemble: str, parts: str) -> dict[str, Any]:
    """Write all that a pickle is made of into a folder: plain data, source and reference. Runs in a child process.

    Returns:
        members, signature and estimate (see `models.delivery.estimate.estimate`).

    Raises:
        DamagedEnsembleError: something of the ensemble is missing or changed.
        NotExportableError: a member cannot be shipped.
        SourceNotExportableError: a function cannot.
    """
    loaded, folder = Ensemble.load(ensemble), Path(parts)
    shipped, expected = shipped_ensemble(loaded), estimate(loaded)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_parts(folder, shipped)
    reference_of(loaded, shipped, estimate=expected).write(folder / REFERENCE)
    return {"members": list(loaded.members), "signature": loaded.signature, "estimate": expected}


def assemble(
    parts: Path, interpreter: Path, out: Path, python: str, run: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Let an interpreter put the parts together into `out`, and write the reference beside it, which comes last.

    Args:
        parts: folder from `write_export_parts`.
        interpreter: of the Python that the pickle is for; it has numpy, scipy, pandas and cloudpickle.
        out: the pickle.
        python: what it calls itself, such as 3.11.
        run: what made the ensemble, see `eraflow.runs.identity.identity`; it lies in the reference.

    Returns:
        file, bytes, sha256, reference and python.

    Raises:
        AssemblyError: the interpreter failed.
        StorageError: `out` cannot be written.
    """
    with storage_errors(out):
        reference_path(out).unlink(missing_ok=True)  # that of an older pickle would speak for this one
    with atomic_path(out) as temporary:
        _run([str(interpreter), "-I", str(Path(assembly.__file__)), str(parts), str(temporary)])
    found = Reference.read(parts / REFERENCE)
    found.told.update(pickle_sha256=file_sha256(out), python=python, run=None if run is None else dict(run))
    told = found.write(reference_path(out))
    size = out.stat().st_size
    return {"file": str(out), "bytes": size, "sha256": file_sha256(out), "reference": str(told), "python": python}


def _run(command: list[str]) -> None:
    """Let the interpreter do it; AssemblyError where it fails, hangs or cannot be started."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ASSEMBLY_SECONDS, check=False
        )
        lines, ended = done.stderr.strip().splitlines()[-TOLD_LINES:], f"ended with {done.returncode}"
        failed = done.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        lines, ended, failed = [str(error)], "did not put the parts together", True
    if failed:
        raise AssemblyError(
            f"{command[0]} {ended}: {' | '.join(lines)}",
            "remove its folder under cache/rehearsal, so that it is built anew, and run again",
        )
