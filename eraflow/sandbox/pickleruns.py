"""Uploaded models run for real: under the versions and limits of a rehearsal, in an environment that is built already.

A run has a record of what came of it; one without is begun, also by a sandbox that was started again. Where there is no
environment for the image's Python, nothing is run, and the log says so.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.sandbox.datafolder import DataFolder
from eraflow.sandbox.diagnostics import diagnose
from eraflow.sandbox.records import Records

FilePrediction = Callable[[Path, str, str], dict[str, Any]]


class PickleRuns:
    """The runs of uploaded models: one at a time, in the background.

    Args:
        records: of the sandbox.
        data: what the models are given.
        rehearsals: the folder of environments; None: nothing is run.
        file_prediction: files a CSV for a model and a trigger; the submission.
    """

    def __init__(
        self, records: Records, data: DataFolder, rehearsals: Path | None, file_prediction: FilePrediction
    ) -> None:
        self._records, self._data, self._rehearsals = records, data, rehearsals
        self._file_prediction = file_prediction
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="pickle")
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def possible(self, python: str) -> bool:
        """Whether models for a Python are run here."""
        return self._interpreter(python) is not None

    def validate(self, record: dict[str, Any], python: str) -> None:
        """Begin the validation of an upload that was not validated yet: a run on the live file, then diagnostics."""
        self._begin(record["id"], lambda: self._validation(dict(record), python))

    def serve(self, trigger: dict[str, Any], record: dict[str, Any], python: str) -> None:
        """Begin the run of a trigger that has not run yet: on the live file, and what it predicts is filed."""
        self._begin(trigger["id"], lambda: self._service(trigger, record, python))

    def _begin(self, identifier: str, work: Callable[[], None]) -> None:
        with self._lock:
            if identifier not in self._begun:
                self._begun.add(identifier)
                self._workers.submit(work)

    def _validation(self, record: dict[str, Any], python: str) -> None:
        error, log, csv, scratch = self._run(record, python, "live")
        shutil.rmtree(scratch, ignore_errors=True)
        self._note("pickles", record["id"], {"failed": error is not None, "error": error, "log": log})
        if error is None:
            error, log, csv, scratch = self._run(record, python, "validation")
            result = diagnose(csv, self._data) if error is None else {"status": "failed", "message": error}
            shutil.rmtree(scratch, ignore_errors=True)
            shift = float(self._row("pickles", record["id"]).get("shifted", 0.0))
            self._note("pickles", record["id"], {"diagnosed": _shifted(result, shift)})

    def _service(self, trigger: dict[str, Any], record: dict[str, Any], python: str) -> None:
        error, log, csv, scratch = self._run(record, python, "live")
        found: dict[str, Any] = {"error": error, "log": log}
        if error is None and trigger["model"] is not None and self._row("triggers", trigger["id"])["runs"]:
            try:
                found["submission"] = self._file_prediction(csv, trigger["model"], trigger["id"])["id"]
            except Exception as refused:  # noqa: BLE001 - whatever it is, the run must end with a reason
                found["error"] = f"the prediction could not be filed: {refused}"
        shutil.rmtree(scratch, ignore_errors=True)
        self._note("triggers", trigger["id"], found)

    def _run(self, record: dict[str, Any], python: str, name: str) -> tuple[str | None, list[str], Path, Path]:
        """Run an upload on a file of the data: its error, its log, its CSV, and the folder to be removed."""
        scratch = Path(tempfile.mkdtemp(prefix="eraflow-sandbox-"))
        csv = scratch / "predictions.csv"
        try:
            return (*self._confined(record, python, name, csv), csv, scratch)
        except (EraflowError, OSError) as error:
            return str(error), [str(error)], csv, scratch

    def _confined(self, record: dict[str, Any], python: str, name: str, csv: Path) -> tuple[str | None, list[str]]:
        # A sandbox that is sent no model need not wait for these.
        from eraflow.rehearsal.confinedrun import Room, run_confined
        from eraflow.rehearsal.judging import faults_of

        pickle = self._records.stored(record["filename"])
        if pickle is None:
            return "model file not found: nothing was uploaded under this name", []
        room, live = Room(), self._data.folder / f"{name}.parquet"
        beside = self._data.folder / f"{name}_benchmark_models.parquet"
        given = [_indexed(path, csv.parent) for path in (live, beside if beside.is_file() else live)]
        file = {"live": str(given[0]), "benchmarks": str(given[1]), "out": str(csv)}
        spec = {
            "pickle": str(pickle),
            "reference": None,
            "files": [{**file, "name": name, "at_once": False}],
        }
        outcome = run_confined([str(self._interpreter(python)), "-I"], spec, csv.parent, room)
        faults = faults_of(outcome, room, python)
        raised = outcome.report["error"]
        log = [f"Python {python}, {name}: {outcome.seconds:.1f} s, {outcome.peak_mb:.0f} MiB"]
        log += [] if raised is None else str(raised["trace"]).strip().splitlines()
        log += [f"{fault.code}: {fault.problem}" for fault in faults]
        return (f"{faults[0].code}: {faults[0].problem}" if faults else None), log

    def _note(self, kind: str, identifier: str, found: dict[str, Any]) -> None:
        with self._records.changing() as data:
            for row in data[kind]:
                if row["id"] == identifier and row["runs"]:  # a fault may have taken it out of our hands meanwhile
                    row.update(found, ended=True)

    def _row(self, kind: str, identifier: str) -> dict[str, Any]:
        """A record as it stands now."""
        with self._records.reading() as data:
            return dict(next(row for row in data[kind] if row["id"] == identifier))

    def _interpreter(self, python: str) -> Path | None:
        if self._rehearsals is None:
            return None
        from eraflow.rehearsal.environment import built_python

        try:
            return built_python(python, self._rehearsals)
        except EraflowError:  # no versions are known for this Python
            return None


def _indexed(path: Path, folder: Path) -> Path:
    """The file as Numerai hands it to a model, with the ids as its index: in some files they are a column."""
    import pandas as pd

    frame = pd.read_parquet(path)
    if "id" not in frame.columns:
        return path
    frame.set_index("id").to_parquet(folder / path.name)
    return folder / path.name


def _shifted(result: dict[str, Any], by: float) -> dict[str, Any]:
    """Diagnostics as another model would have them, with every CORR changed."""
    if not by or result["status"] != "done":
        return result
    rows = [{**row, "validationCorr": row["validationCorr"] + by} for row in result["perEraDiagnostics"]]
    return {**result, "validationCorrMean": result["validationCorrMean"] + by, "perEraDiagnostics": rows}
