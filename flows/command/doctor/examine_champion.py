"""What `eraflow doctor` looks at in the registry: how long each champion may still be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from eraflow.errors import EraflowError
from eraflow.gate.championage import REFIT, champion_age
from eraflow.gate.verdict import Verdict
from eraflow.runs.continuation import stored_settings
from eraflow.settings.gate import GateSettings
from eraflow.settings.tracking import TrackingSettings
from flows.command.doctor.examine import Finding, judged

NAME = "champion"


def examine_champions(home: Path, now: datetime | None = None) -> Iterator[Finding]:
    """A line for each seat that ships to Numerai; nothing in a home that has no registry of its own."""
    from eraflow.tracking.registry import champion_info, seats
    from eraflow.tracking.tracking import Tracker

    tracker = Tracker(home, TrackingSettings())
    if not tracker.exists():
        return
    try:
        for seat, _, _ in seats(tracker):
            champion = champion_info(tracker, seat)
            if champion is None or champion.verdict is None:
                continue
            settings = _gate_of(champion.tags.get("run_dir"))
            age = champion_age(Verdict.from_dict(champion.verdict), now or datetime.now(UTC), settings)
            yield judged(NAME, not age.soon, f"version {champion.version} of {seat}: {age.words}", REFIT)
    except EraflowError as error:
        yield Finding(NAME, "warning", f"the registry cannot be read: {error.problem}", error.remedy)


def _gate_of(run_dir: str | None) -> GateSettings:
    """The limits of the week that shipped it; the usual ones where its folder is gone."""
    try:
        stored = stored_settings(Path(run_dir)) if run_dir else None
    except EraflowError:
        stored = None
    return GateSettings() if stored is None else stored.gate
