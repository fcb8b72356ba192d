"""What came of a run, in a few words: names, messages and the report of the week all say it alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE
from eraflow.runs.unfinished import SETTINGS
from eraflow.runs.weekrecord import ROUND

WORDS = {
    "submitted": "sent",
    "submitted_with_error": "sent, then an error",
    "unconfirmed": "sent, not confirmed",
    "ready": "dry run",
    "kept": "another is filed",
    "searched": "done",
    "judged": "judged, no slot",
}
ALREADY = "already filed"
INTERRUPTED = "interrupted"
FLOWS = {"research": "search"}  # as it is typed


@dataclass(frozen=True)
class RunOutcome:
    """A run in words.

    Attributes:
        flow: `weekly`, `daily` or `search`.
        round_number: None as long as no round is known.
        words: `sent`, `already filed`, `held`, `dry run`, `failed`, `running` and the like.
        sandbox: whether nothing of it ever went to Numerai.
    """

    flow: str
    round_number: int | None
    words: str
    sandbox: bool

    @property
    def name(self) -> str:
        """`weekly 1404 sent`, or `weekly 1404 sent (sandbox)`."""
        number = "" if self.round_number is None else f" {self.round_number}"
        return f"{self.flow}{number} {self.words}{' (sandbox)' if self.sandbox else ''}"


def note_round(run_dir: Path, number: int, ahead: timedelta = timedelta(0)) -> None:
    """Note in the run's folder which round it works for, and how far the tournament's clock is ahead of this one."""
    write_json(run_dir / ROUND, {"number": number, "ahead_seconds": ahead.total_seconds()})


def now_there(run_dir: Path) -> datetime:
    """The time at the tournament that a run works for, UTC: by it the ages of verdicts count."""
    ahead = (read_object(run_dir / ROUND) or {}).get("ahead_seconds")
    return datetime.now(UTC) + timedelta(seconds=ahead if isinstance(ahead, int | float) else 0.0)


def outcome_of(run_dir: Path, words: str | None = None) -> RunOutcome:
    """What the folder of a run tells.

    Args:
        run_dir: the folder.
        words: instead of what its record says, such as `running`, as long as there is none.
    """
    noted, settings = (read_object(run_dir / name) or {} for name in (RUN_FILE, SETTINGS))
    flow = str(noted.get("flow", "run"))
    number = (read_object(run_dir / ROUND) or {}).get("number")
    told = words or run_in_words(read_object(run_dir / "record.json") or {})
    kind = (settings.get("source") or {}).get("kind")
    return RunOutcome(FLOWS.get(flow, flow), number, told, sandbox=kind == "sandbox")


def run_in_words(record: Mapping[str, Any]) -> str:
    """The outcome of a record as people say it: `already filed` where these very predictions were there before."""
    outcome = str(record.get("outcome", "unfinished"))
    if (record.get("error") or {}).get("code") == "interrupted" and outcome == "failed":
        return INTERRUPTED
    state = (record.get("submission") or {}).get("state") or {}
    if outcome == "submitted" and state.get("already"):
        return ALREADY
    return WORDS.get(outcome, outcome.replace("_", " "))
