"""Uploaded models and their states.

Where an environment for the image's Python is built they are run (`eraflow/sandbox/pickleruns.py`), and their states
follow what comes of that; elsewhere they are stored and not opened, and states follow from their age.
"""

from __future__ import annotations

import uuid
from typing import Any

from eraflow.sandbox.calendar import iso
from eraflow.sandbox.pickleruns import PickleRuns
from eraflow.sandbox.records import Records
from eraflow.sandbox.submissions import STATE_SECONDS

_TRIGGER_STATES = ("pending", "running", "success")


def _named_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/{name}"))


# The default differs from Python 3.11 on purpose: whoever leaves the choice to it should notice here.
DOCKER_IMAGES: list[dict[str, Any]] = [
    {
        "id": _named_id(f"image/{minor}"),
        "name": f"Python 3.{minor}",
        "image": f"numerai_predict_py_3_{minor}",
        "tag": "stable",
        "default": minor == 12,
        "deprecated": False,
    }
    for minor in (10, 11, 12, 13)
]


def data_versions(version: str) -> list[dict[str, Any]]:
    """The one data set version that the sandbox serves."""
    return [{"id": _named_id(f"version/{version}"), "name": version, "deprecated": False}]


class PickleRefused(Exception):
    """A pickle operation is refused, with the text that the API would answer."""


class Pickles:
    """The pickles of all models, at one moment `now`."""

    def __init__(self, records: Records, version: str, now: float, runs: PickleRuns) -> None:
        self._records, self._versions, self._now, self._runs = records, data_versions(version), now, runs

    def create(self, filename: str, model: str | None, image: str | None, version: str | None) -> dict[str, Any]:
        """Register an uploaded file; unknown image or version ids are refused."""
        images = {row["id"]: row for row in DOCKER_IMAGES}
        default = next(row["id"] for row in DOCKER_IMAGES if row["default"])
        chosen, data = image or default, version or self._versions[0]["id"]
        if chosen not in images:
            raise PickleRefused("Docker image not found")
        if data not in {row["id"] for row in self._versions}:
            raise PickleRefused("Data version not found")
        path = self._records.stored(filename)
        record = {
            "id": str(uuid.uuid4()),
            "filename": filename,
            "model": model,
            "image": chosen,
            "version": data,
            "at": self._now,
            "failed": path is None or path.stat().st_size == 0,
            "runs": self._runs.possible(_python(chosen)),
        }
        with self._records.changing() as kept:
            kept["pickles"].append(record)
        return self.shown(record)

    def of(self, identifier: str | None, model: str | None, unassigned: bool) -> list[dict[str, Any]]:
        """Pickles newest first: one by id, or those of a model, or those that no model uses."""
        with self._records.reading() as data:
            taken = set(data["assigned"].values())
            found = [
                dict(record)
                for record in data["pickles"]
                if identifier in (None, record["id"])
                and (model in (None, record["model"]) or data["assigned"].get(model) == record["id"])
                and not (unassigned and record["id"] in taken)
            ]
        return [self.shown(record) for record in reversed(found)]

    def assign(self, model: str, identifier: str | None) -> None:
        """Make a validated pickle the one that a model runs; None takes the model's pickle away."""
        if identifier is not None and self._validation(self._find(identifier)) != "validated":
            raise PickleRefused("Pickle has not been validated")
        with self._records.changing() as data:
            if identifier is None:
                data["assigned"].pop(model, None)
            else:
                data["assigned"][model] = identifier

    def assigned(self, model: str) -> str | None:
        """The pickle that a model runs."""
        with self._records.reading() as data:
            found: str | None = data["assigned"].get(model)
        return found

    def trigger(self, identifier: str | None, model: str | None) -> dict[str, Any]:
        """Note that the pickle is to be run. Nothing is run: the trigger only passes through its states."""
        wanted = identifier or (self.assigned(model) if model else None)
        if wanted is None:
            raise PickleRefused("Model has no assigned pickle")
        record = self._find(wanted)
        row = {"id": str(uuid.uuid4()), "pickle": wanted, "model": model, "at": self._now}
        with self._records.changing() as data:
            data["triggers"].append({**row, "runs": self._runs.possible(_python(record["image"]))})
        return self.shown(record)

    def logs(self, trigger: str) -> list[dict[str, Any]]:
        """Log lines of a trigger, as far as it has come."""
        with self._records.reading() as data:
            found = next((row for row in data["triggers"] if row["id"] == trigger), None)
            faulty = [row for row in data["pickles"] if trigger == f"validation-{row['id']}"]
        if faulty:
            return [{"timestamp": int(float(faulty[0]["at"])), "message": line} for line in faulty[0].get("log", ())]
        if found is None:
            raise PickleRefused("Trigger not found")
        texts = {"pending": "queued", "running": "running", "success": "done", "error": str(found.get("error"))}
        if not found.get("runs"):
            texts["running"] = "no environment of its Python is built here: the model is stored and not run"
        lines = [*(texts[state] for state in self._trigger_states(found)[:2]), *found.get("log", ())]
        lines += [texts[state] for state in self._trigger_states(found)[2:]]
        return [{"timestamp": int(float(found["at"])), "message": line} for line in lines]

    def diagnostics(self, identifier: str) -> dict[str, Any] | None:
        """What the diagnostics of an upload have found, by their id; None where there are none of it."""
        with self._records.reading() as data:
            named = [
                row for row in data["pickles"] if identifier == f"diagnostics-{row['id']}" and row.get("diagnosed")
            ]
        return None if not named else {"id": identifier, "insertedAt": iso(named[0]["at"]), **named[0]["diagnosed"]}

    def shown(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record as the API's `ComputePickle`."""
        images = {row["id"]: row["name"] for row in DOCKER_IMAGES}
        with self._records.reading() as data:
            slots = [model for model, pickle in data["assigned"].items() if pickle == record["id"]]
            triggers = [row for row in data["triggers"] if row["pickle"] == record["id"]]
        shown = [self._shown_trigger(row, record) for row in reversed(triggers)]
        validation = self._validation(record)
        if validation == "failed" and record.get("log"):
            shown.append(self._validating(record))
        return {
            "id": record["id"],
            "filename": record["filename"],
            "modelId": record["model"],
            "assignedModelSlots": slots,
            "validationStatus": validation,
            "triggerStatus": shown[0]["status"] if shown else None,
            "diagnosticsStatus": self._diagnostics(record),
            "diagnosticsId": f"diagnostics-{record['id']}" if record.get("diagnosed") else None,
            "dockerImageId": record["image"],
            "dockerImageName": images[record["image"]],
            "dataVersionId": record["version"],
            "dataVersion": next((row["name"] for row in self._versions if row["id"] == record["version"]), None),
            "insertedAt": iso(float(record["at"])),
            "updatedAt": iso(self._now),
            "triggers": shown,
        }

    def _find(self, identifier: str) -> dict[str, Any]:
        with self._records.reading() as data:
            for record in data["pickles"]:
                if record["id"] == identifier:
                    return dict(record)
        raise PickleRefused("Pickle not found")

    def _validation(self, record: dict[str, Any]) -> str:
        passed = int((self._now - record["at"]) // STATE_SECONDS)
        if record.get("stuck"):
            return "validating"
        if record.get("runs") and not record.get("ended") and not record["failed"]:
            self._runs.validate(record, _python(record["image"]))
            return ("pending", "validating")[min(1, max(0, passed))]
        if passed < 2:
            return ("pending", "validating")[max(0, passed)]
        return "failed" if record["failed"] else "validated"

    def _diagnostics(self, record: dict[str, Any]) -> str | None:
        if not record.get("runs") or not record.get("ended") or record["failed"]:
            return None
        return "running" if record.get("diagnosed") is None else str(record["diagnosed"]["status"])

    def _validating(self, record: dict[str, Any]) -> dict[str, Any]:
        """The run that has found an upload faulty."""
        steps = [{"status": "failed", "description": line, "insertedAt": iso(record["at"])} for line in record["log"]]
        named = {"id": f"validation-{record['id']}", "type": "validation", "status": "failed", "submissionId": None}
        return {**named, "insertedAt": iso(float(record["at"])), "statuses": steps}

    def _trigger_states(self, row: dict[str, Any]) -> tuple[str, ...]:
        reached = 1 + max(0, int((self._now - row["at"]) // STATE_SECONDS))
        if row.get("stuck") or (row.get("runs") and not row.get("ended")):
            return _TRIGGER_STATES[: min(2, reached)]
        last = "success" if row.get("error") is None else "error"
        return (*_TRIGGER_STATES[:2], last)[:reached]

    def _shown_trigger(self, row: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        at = float(row["at"])
        if row.get("runs") and not row.get("ended") and not row.get("stuck"):
            self._runs.serve(row, record, _python(record["image"]))
        states = self._trigger_states(row)
        steps = [
            {"status": state, "description": None, "insertedAt": iso(at + STATE_SECONDS * step)}
            for step, state in enumerate(states)
        ]
        named = {"id": row["id"], "type": "submission", "status": states[-1], "submissionId": row.get("submission")}
        return {**named, "insertedAt": iso(at), "statuses": steps}


def _python(image: str) -> str:
    """The Python of an image's id, such as 3.11."""
    name = next(row["name"] for row in DOCKER_IMAGES if row["id"] == image)
    return str(name).rpartition(" ")[2]
