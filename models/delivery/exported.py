"""An ensemble folder exported: its parts written in a child process, put together by the Python that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eraflow.disk.ownership import is_run_dir
from eraflow.machine.isolate import run_isolated
from eraflow.rehearsal.environment import environment_python, rehearsal_folder
from eraflow.rehearsal.pins import pins_for
from eraflow.runs.identity import identity
from eraflow.runs.scratch import scratch_folder


def exported(ensemble: Path, out: Path, python: str, home: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Write the pickle of an ensemble, and its reference beside it, which comes last.

    Args:
        ensemble: folder of the ensemble.
        out: the pickle.
        python: of the image that will run it, such as 3.11.
        home: the home folder, where the libraries of the image are kept.
        say: told what takes time.

    Returns:
        file, bytes, sha256, reference, python, members, signature, estimate and ensemble.

    Raises:
        UnknownPythonError, MissingInterpreterError, EnvironmentNotBuiltError: there is no interpreter for it.
        NotExportableError, AssemblyError, DamagedEnsembleError: the ensemble cannot be shipped.
    """
    pins = pins_for(python, rehearsal_folder(home))
    with scratch_folder("eraflow-export-") as scratch:
        told = run_isolated(
            "models.delivery.export:write_export_parts",
            {"ensemble": str(ensemble), "parts": str(scratch / "parts")},
            memory_mb=None,
            timeout_s=None,
            log=say,
            folder=scratch / "work",
        ).value
        interpreter = environment_python(pins, home, say)
        from models.delivery.export import assemble  # it brings the learners' libraries

        made = assemble(scratch / "parts", interpreter, out, pins.python, _run_of(ensemble))
        return {**made, **told, "ensemble": str(ensemble)}


def _run_of(ensemble: Path) -> dict[str, Any] | None:
    """The identity of the run whose blend/ensemble this is; None for a folder that was taken elsewhere."""
    run_dir = ensemble.resolve().parent.parent
    return identity(run_dir) if is_run_dir(run_dir) else None
