"""What a run's folder concluded, and the rule that nothing which a concluded folder holds is ever rewritten.

    submitted, searched   read-only
    held, ready, kept     read-only too, but `eraflow submit` may add to them: what it sends lies in a folder of its own
    anything else         unfinished: it may be continued, under its own settings

A killed run has no record and is unfinished. So is one whose submission was accepted before something failed: a
continuation still has to register it, but what was accepted stays as it is (`accepted_submission`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError

RECORD = "record.json"
SUBMISSION = "submission/record.json"
SENT_LATER = "sent/record.json"
"""What `eraflow submit` adds to a held or ready run; the shape is that of `submission/record.json`."""
# An outcome that nothing is left to be done for.
CONCLUDED = frozenset({"submitted", "ready", "held", "kept", "searched"})
OPEN_TO_SUBMIT = frozenset({"ready", "held", "kept"})


class RunConcludedError(EraflowError):
    """The run in this folder has ended, and what it left is never rewritten. Choose another `--run-dir`."""

    code = "run_concluded"
    exit_code = 2


def conclusion(run_dir: Path) -> str | None:
    """How the run in this folder ended: `submitted`, `held`, `ready` or `searched`; None while it is unfinished.

    A held or ready run whose predictions were sent later by `eraflow submit` is `submitted`. Nothing is written, and a
    folder that is not there is unfinished.
    """
    outcome = (read_object(run_dir / RECORD) or {}).get("outcome")
    if outcome not in CONCLUDED:
        return None
    if outcome in OPEN_TO_SUBMIT and _was_accepted(read_object(run_dir / SENT_LATER)):
        return "submitted"
    return str(outcome)


def ended_record(run_dir: Path) -> dict[str, Any] | None:
    """The record of a run that ended, as it stands in its folder; None while it is unfinished."""
    return read_object(run_dir / RECORD) if conclusion(run_dir) is not None else None


def check_unfinished(run_dir: Path) -> None:
    """Whoever is about to write into a run's folder asks first.

    Raises:
        RunConcludedError: the run has ended.
    """
    ended = conclusion(run_dir)
    if ended is not None:
        raise RunConcludedError(f"the run in {run_dir} has ended ({ended}), and is kept as it is", remedy_for(ended))


def remedy_for(ended: str) -> str:
    """What may be done instead of writing into a run that ended so."""
    if ended in OPEN_TO_SUBMIT:
        return "choose another --run-dir, or leave it out; `eraflow submit` sends what this run predicted"
    return "choose another --run-dir, or leave it out, for a new run"


def check_outside_of_concluded(path: Path) -> None:
    """Whoever is about to write a file or a folder of the user's choice asks first: it may lie within a run.

    Raises:
        RunConcludedError: `path` is the folder of a concluded run, or lies in one.
    """
    place = path.expanduser().resolve()
    for folder in (place, *place.parents):
        ended = conclusion(folder)
        if ended is not None:
            raise RunConcludedError(
                f"{path} lies in the run {folder}, which has ended ({ended}) and is kept as it is",
                "choose a place outside of it",
            )


def accepted_submission(run_dir: Path) -> dict[str, Any] | None:
    """The record of the submission that this run filed and that was accepted, or None; it must not be rewritten."""
    for name in (SUBMISSION, SENT_LATER):
        found = read_object(run_dir / name)
        if found is not None and _was_accepted(found):
            return found
    return None


def unconfirmed_submission(run_dir: Path, name: str = SUBMISSION) -> dict[str, Any] | None:
    """The record of an upload that may have arrived and is not known to be accepted, or None."""
    found = read_object(run_dir / name)
    return found if found is not None and found.get("sending") is True and found.get("state") is None else None


def _was_accepted(submission: dict[str, Any] | None) -> bool:
    return submission is not None and submission.get("state") is not None
