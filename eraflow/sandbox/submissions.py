"""Submissions: judged as Numerai judges them, and shown in the states a submitter sees."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow.sandbox.calendar import Calendar, iso
from eraflow.sandbox.datafolder import DataFolder, DataFolderError
from eraflow.sandbox.records import Records

STATE_SECONDS = 0.1  # how long a submission shows each passing state


@dataclass(frozen=True)
class Judgement:
    """What came of checking a file: error is None when it was accepted; rows and sha256 of what arrived."""

    error: str | None
    rows: int
    sha256: str


def judge_submission(path: Path | None, data: DataFolder) -> Judgement:
    """Read an uploaded CSV and apply numerai-tools' own validation against the live ids."""
    # numerai-tools pulls scikit-learn in: over a second that starting the sandbox need not wait for.
    from numerai_tools.submissions import validate_submission_numerai

    if path is None:
        return Judgement("submission file not found: nothing was uploaded under this name", 0, "")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    rows = 0
    try:
        frame = pd.read_csv(path, dtype={"id": "str"})
        rows = len(frame)
        validate_submission_numerai(data.live_ids(), frame)
    except (AssertionError, ValueError, TypeError, UnicodeDecodeError) as error:
        # pandas raises ValueError subclasses for a file that is no CSV, TypeError for text where numbers belong.
        return Judgement(str(error) or type(error).__name__, rows, digest)
    except DataFolderError as error:
        return Judgement(error.problem, rows, digest)
    return Judgement(None, rows, digest)


class Submissions:
    """The submissions of all models. States follow from the age of a record, so they survive a restart."""

    def __init__(self, records: Records, data: DataFolder, calendar: Calendar, clock: Callable[[], float]) -> None:
        self._records, self._data, self._calendar, self._clock = records, data, calendar, clock

    def create(self, filename: str, model: str, source: str | None, trigger: str | None = None) -> dict[str, Any]:
        """Take a submission for the round that is open now (the caller has checked that one is)."""
        judged = judge_submission(self._records.stored(filename), self._data)
        record = {
            "id": str(uuid.uuid4()),
            "filename": filename,
            "model": model,
            "round": self._calendar.spec.number,
            "at": self._clock(),  # after the judging, so that every state can be seen
            "late": self._calendar.is_late,
            "closes": self._calendar.staking_closes,
            "target": self._calendar.spec.target,
            "source": source,
            "trigger": trigger,
            **asdict(judged),
        }
        with self._records.changing() as data:
            data["submissions"].append(record)
        return self.shown(record)

    def of(self, model: str | None = None, identifier: str | None = None) -> list[dict[str, Any]]:
        """Submissions newest first, as the API shows them."""
        with self._records.reading() as data:
            found = [
                record
                for record in data["submissions"]
                if model in (None, record["model"]) and identifier in (None, record["id"])
            ]
        return [self.shown(record) for record in reversed(found)]

    def shown(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record as the API's `Submission`."""
        status = self._status(record)
        return {
            "id": record["id"],
            "filename": record["filename"],
            "status": status,
            "errorInfo": record["error"] if status == "failed" else None,
            "selected": record["id"] == self._selected(record["model"], record["round"]),
            "insertedAt": iso(float(record["at"])),
            "round": lambda info: self._calendar.row(record["round"]),
            "submittedCount": record["rows"],
            "triggerId": record.get("trigger"),
        }

    def received(self) -> list[dict[str, Any]]:
        """Everything kept about every submission, with status and whether it is the selected one, oldest first."""
        with self._records.reading() as data:
            records = list(data["submissions"])
        shown = [(record, self.shown(record)) for record in records]
        return [record | {"status": view["status"], "selected": view["selected"]} for record, view in shown]

    def _status(self, record: dict[str, Any]) -> str:
        passed = int((self._clock() - record["at"]) // STATE_SECONDS)
        if passed < 2:
            return ("pending", "running")[max(0, passed)]
        return "success" if record["error"] is None else "failed"

    def _selected(self, model: str, number: int) -> str | None:
        """The newest valid submission of a model in a round."""
        with self._records.reading() as data:
            valid = [
                record["id"]
                for record in data["submissions"]
                if (record["model"], record["round"]) == (model, number) and self._status(record) == "success"
            ]
        return valid[-1] if valid else None
