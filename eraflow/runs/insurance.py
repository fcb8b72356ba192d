"""Submissions that were sent as an insurance: the champion's, for a week that was not done in time.

The week's own prediction may replace these, and nothing else that is filed. They are noted in the home, so that any run
knows them, the week's that goes on after it was killed for example.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.locks import my_turn

FOLDER = "insurance"
"""In the home: what was sent. In the folder of a run: where its insurance is made."""
KEPT = 50


def note_insurance(home: Path, source: str, slot: str, round_number: int, submission: str) -> None:
    """Note that a submission is one which the week's own may replace.

    Args:
        home: the home folder.
        source: name of the place it was sent to.
        slot: id of the model slot.
        round_number: its round.
        submission: its id.

    Raises:
        StorageError, NoLocksError: the home cannot be written.
    """
    path = _path(home, source, slot)
    path.parent.mkdir(parents=True, exist_ok=True)
    with my_turn(path.with_suffix(".lock")):
        sent = [*_sent(path), {"round": round_number, "submission": submission}]
        write_json(path, {"sent": sent[-KEPT:]})


def insurances(home: Path, source: str, slot: str, round_number: int) -> frozenset[str]:
    """The ids of the submissions that were sent for this slot and round as an insurance."""
    sent = _sent(_path(home, source, slot))
    return frozenset(str(row["submission"]) for row in sent if row.get("round") == round_number)


def _path(home: Path, source: str, slot: str) -> Path:
    return home / FOLDER / f"{source}-{slot}.json"


def _sent(path: Path) -> list[dict[str, Any]]:
    rows = (read_object(path) or {}).get("sent", [])
    return [row for row in rows if isinstance(row, dict) and "submission" in row] if isinstance(rows, list) else []
