"""The runs of a home: listed in a line each, and found by what a person types of one.

Only small files are read, and a folder that cannot be read is a line that says so: one broken run hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE, is_run_dir
from eraflow.errors import EraflowError
from eraflow.runs.conclusion import RECORD, SENT_LATER
from eraflow.runs.identity import identity
from eraflow.runs.outcome import outcome_of, run_in_words
from eraflow.runs.unfinished import ELSEWHERE, SETTINGS
from eraflow.runs.weekrecord import ROUND, SENT

SHOWN = 6
BLEND = "blend"
BROKEN, UNFINISHED = "broken", "unfinished"


class NoSuchRunError(EraflowError):
    """No run of this home is called so. The text says how the newest ones are called."""

    code = "no_such_run"
    exit_code = 2


class AmbiguousRunError(EraflowError):
    """What was typed begins the names of several runs. The text lists them."""

    code = "ambiguous_run"
    exit_code = 2


@dataclass(frozen=True)
class RunLine:
    """A run in a line.

    Attributes:
        folder: its path.
        name: as `eraflow.runs.identity.run_name` gives it; empty for a broken one.
        begun: ISO 8601, UTC; empty where nothing tells.
        flow: weekly, daily or search.
        profile: of the settings.
        state: what came of it in words: sent, dry run, held, failed, unfinished, broken and the like.
        passed: the gate's verdict; None where it was not asked.
        corr, payout: mean over the judged eras of the blend; None where there is none.
        round_number: None as long as none is known.
        sent: whether a submission of it was accepted.
        problem: why a broken one cannot be read.
    """

    folder: str
    name: str = ""
    begun: str = ""
    flow: str = ""
    profile: str = ""
    state: str = BROKEN
    passed: bool | None = None
    corr: float | None = None
    payout: float | None = None
    round_number: int | None = None
    sent: bool = False
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def list_runs(home: Path) -> list[RunLine]:
    """All runs of a home, the newest first; folders that hold no readable run come last."""
    return sorted(map(_line, _folders(home)), key=lambda line: (line.begun, line.folder), reverse=True)


def find_run(home: Path, typed: str) -> Path:
    """The folder of the run that is meant: a path, the name of its folder, its name, or a beginning of either.

    Raises:
        NoSuchRunError: there is none.
        AmbiguousRunError: several begin so, and none is called exactly so.
    """
    place = Path(typed).expanduser()
    if typed and is_run_dir(place):
        return place.resolve()
    known = [(path, (path.name, _name(path))) for path in _folders(home) if is_run_dir(path)]
    meant = [path for path, names in known if typed in names]
    meant = meant or [path for path, names in known if typed and any(name.startswith(typed) for name in names)]
    if len(meant) == 1:
        return meant[0]
    newest = sorted((path.name for path in meant or [path for path, _ in known]), reverse=True)
    told = ", ".join(newest[:SHOWN]) + (f" and {len(newest) - SHOWN} more" if len(newest) > SHOWN else "")
    if meant:
        raise AmbiguousRunError(f"{typed[:80]!r} may be {told}", "type more of the folder's name, or its path")
    raise NoSuchRunError(
        f"no run of {home} is called {typed[:80]!r}; there are: {told or 'none'}",
        "`eraflow runs` lists them; --home names another home",
    )


def _folders(home: Path) -> Iterator[Path]:
    """Every folder below `runs`, and those that are noted to lie elsewhere; a note whose folder is gone is left out."""
    runs = home / "runs"
    if not runs.is_dir():
        return
    for path in sorted(runs.iterdir()):
        if path.name.endswith(ELSEWHERE):
            try:
                place = Path(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if is_run_dir(place):
                yield place
        elif path.is_dir() and not path.name.startswith("."):
            yield path


def _line(folder: Path) -> RunLine:
    try:
        return _told(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return RunLine(str(folder), problem=f"{type(error).__name__}: {error}"[:200])


def _told(folder: Path) -> RunLine:
    noted = read_object(folder / RUN_FILE)
    if noted is None or not is_run_dir(folder):
        return RunLine(str(folder), problem=f"{RUN_FILE} is missing or cannot be read")
    if (folder / RECORD).exists() and read_object(folder / RECORD) is None:
        return RunLine(str(folder), begun=_begun(noted), problem=f"{RECORD} cannot be read")
    record = read_object(folder / RECORD) or {}
    later = read_object(folder / SENT_LATER)
    submission = later or record.get("submission") or {}
    verdict = (read_object(folder / SENT / "verdict.json") if later else record.get("verdict")) or {}
    settings, outcome = read_object(folder / SETTINGS) or {}, outcome_of(folder)
    scores = (record.get("scores") or {}).get(BLEND) or {}
    number = submission.get("round_number") or (read_object(folder / ROUND) or {}).get("number")
    if later is not None and later.get("state") is not None:
        record = {**record, "outcome": "submitted", "submission": later}
    return RunLine(
        folder=str(folder),
        name=_name(folder),
        begun=_begun(noted),
        flow=outcome.flow,
        profile=str(settings.get("profile", "")),
        state=run_in_words(record) if record else UNFINISHED,
        passed=verdict.get("passed"),
        corr=(scores.get("corr") or {}).get("mean"),
        payout=(scores.get("payout") or {}).get("mean"),
        round_number=number,
        sent=submission.get("state") is not None,
    )


def _begun(noted: dict[str, Any]) -> str:
    return datetime.fromtimestamp(float(noted.get("started", 0)), UTC).isoformat(timespec="seconds")


def _name(folder: Path) -> str:
    return str(identity(folder)["name"])
