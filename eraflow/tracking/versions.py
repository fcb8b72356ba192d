"""The versions in the registry, and what a person decides about them: promote, roll back, name a challenger.

Whatever dies in between, each alias names a version whose files were whole when it was set, and the same command can be
given again. The order: the files are held against their hashes, the decision is written down, the alias of the seat is
moved, the alias for people follows, the version's own tags tell of it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import my_turn
from eraflow.errors import EraflowError
from eraflow.tracking.championcopy import evidence_here, marks_here, put_part
from eraflow.tracking.championseat import CHALLENGER, CHAMPION, Seat
from eraflow.tracking.decisions import ChampionDecision, Kind, before, decided, note, read_log
from eraflow.tracking.mlflowlink import NothingThereError
from eraflow.tracking.shippedfiles import ENSEMBLE, EVIDENCE, PLACE_TAG, artifact_uri
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.trackingtext import as_tags

TURN = ".registry.turn"


class NoVersionError(EraflowError):
    """The registry holds no model version of that number, or none that could be meant."""

    code = "no_version"
    exit_code = 2


class NotPromotableError(EraflowError):
    """A model version may not become the champion: it was never judged, or the gate blocked it."""

    code = "not_promotable"
    exit_code = 2


@dataclass(frozen=True)
class Listed:
    """A version as people see it.

    Attributes:
        version: its number.
        name: of the run that made it; empty where that was not recorded.
        registered_at: ISO 8601, UTC.
        weights: hash over the ensemble's files; empty for a version from before this was recorded.
        verdict: `passed`, `blocked`, or empty where it was not recorded.
        payout: mean payout score of the backtest; None where it was not recorded.
        aliases: what the version is now, `champion` and `challenger` of its seat.
        seat: what it is, or was, the champion of; None for one that was registered without a seat.
        decisions: of its seat about this version, the oldest first.
        uri: where its files lie.
    """

    version: int
    name: str
    registered_at: str
    weights: str
    verdict: str
    payout: float | None
    aliases: tuple[str, ...]
    seat: Seat | None
    decisions: tuple[ChampionDecision, ...]
    uri: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def listed(tracker: Tracker) -> list[Listed]:
    """Every version of the registered model, the newest first.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    found = _versions(tracker)
    aliases = _aliases(tracker) if found else {}
    logs = {seat: read_log(tracker, seat) for seat in {Seat.of_tags(dict(each.tags)) for each in found}}
    rows = [_row(tracker, each, aliases, logs[Seat.of_tags(dict(each.tags))]) for each in found]
    return sorted(rows, key=lambda row: -row.version)


def promote(tracker: Tracker, number: int, why: str = "") -> Listed:
    """Make a version the champion of its seat.

    Raises:
        NoVersionError: there is none of that number.
        ChampionDamagedError, StoreError: its files are not those that were registered, or cannot be read.
        NotPromotableError: no passed verdict is registered with it.
        TrackingError: MLflow cannot be written; the champion is then the one before, or this one.
    """
    with _turn(tracker):
        found = _version(tracker, number)
        _check_files(tracker, found)
        _check_verdict(tracker, found)
        _crown(tracker, found, "promoted", why)
    return _told(tracker, number)


def roll_back(tracker: Tracker, number: int | None = None, why: str = "") -> Listed:
    """Make the version champion that was it before.

    Args:
        tracker: the registry.
        number: the champion that is to go; None: the only one there is.
        why: for the log.

    Raises:
        NoVersionError: that is no champion, there are several, or none came before it.
        ChampionDamagedError, StoreError, TrackingError: as `promote`.
    """
    with _turn(tracker):
        going = _version(tracker, _only_champion(tracker) if number is None else number)
        seat = Seat.of_tags(dict(going.tags))
        if _aliases(tracker).get(_alias(CHAMPION, seat)) != str(going.version):
            raise NoVersionError(
                f"version {going.version} is not the champion", "`eraflow models` tells which are; name one of those"
            )
        earlier = before(read_log(tracker, seat), int(going.version))
        if earlier is None:
            raise NoVersionError(
                f"nothing is recorded of a champion before version {going.version}",
                "`eraflow models promote VERSION` makes any version the champion",
            )
        found = _version(tracker, earlier)
        _check_files(tracker, found)
        _crown(tracker, found, "rolled back", why)
        _tag(tracker, going.version, {"taken_back_why": why or "rolled back"})
    return _told(tracker, earlier)


def name_challenger(tracker: Tracker, number: int, why: str = "") -> Listed:
    """Make a version the challenger of its seat; the champion stays.

    Raises:
        NoVersionError, ChampionDamagedError, StoreError, TrackingError: as `promote`.
    """
    with _turn(tracker):
        found = _version(tracker, number)
        _check_files(tracker, found)
        seat = Seat.of_tags(dict(found.tags))
        note(tracker, seat, decided("challenger", number, why))
        _set_alias(tracker, CHALLENGER, seat, number)
    return _told(tracker, number)


def shipped(tracker: Tracker, number: int, seat: Seat | None) -> None:
    """Note that a week has shipped a version, which makes it the champion of its seat.

    Raises:
        TrackingError: MLflow cannot be written.
    """
    with _turn(tracker):
        log = read_log(tracker, seat)
        if not log or (log[-1].what, log[-1].version) != ("shipped", number):  # the same week, sent again
            note(tracker, seat, decided("shipped", number))
        _set_alias(tracker, CHAMPION, seat, number)


def _crown(tracker: Tracker, found: Any, what: Kind, why: str) -> None:
    seat, number = Seat.of_tags(dict(found.tags)), int(found.version)
    decision = decided(what, number, why)
    note(tracker, seat, decision)
    _set_alias(tracker, CHAMPION, seat, number)
    told = {"decision": what, "decided_at": decision.at, "decided_by": decision.by, "decided_why": decision.why or None}
    _tag(tracker, number, told)


def _set_alias(tracker: Tracker, kind: str, seat: Seat | None, number: int) -> None:
    """That of the seat, then that of people, which says what was last decided for any seat."""
    for alias in dict.fromkeys((_alias(kind, seat), kind)):
        tracker.link.call("set_registered_model_alias", tracker.settings.registered_model, alias, str(number))


def _alias(kind: str, seat: Seat | None) -> str:
    return kind if seat is None else seat.alias_of(kind)


def _tag(tracker: Tracker, number: int, tags: dict[str, Any]) -> None:
    for key, value in as_tags(tags).items():
        tracker.link.call("set_model_version_tag", tracker.settings.registered_model, str(number), key, value)


def _check_files(tracker: Tracker, found: Any) -> None:
    """Bring all of it here once, which holds each file against its hash."""
    marks = marks_here(tracker, found, ENSEMBLE)
    with storage_errors(tracker.home), tempfile.TemporaryDirectory(dir=tracker.home, prefix=".check.") as scratch:
        put_part(tracker, found, ENSEMBLE, marks, Path(scratch) / ENSEMBLE)


def _check_verdict(tracker: Tracker, found: Any) -> None:
    marks = marks_here(tracker, found, EVIDENCE)
    folder = evidence_here(tracker, found, marks)
    verdict = json.loads((folder / "verdict.json").read_text()) if "verdict.json" in marks else None
    if verdict is None or verdict.get("passed") is not True:
        state = "was never judged" if verdict is None else "was blocked by the gate"
        raise NotPromotableError(
            f"version {found.version} {state}, so nothing of it may be sent",
            "promote a version whose verdict passed; `eraflow models` tells of each",
        )


def _only_champion(tracker: Tracker) -> int:
    champions = {row.version: str(row.seat or "any") for row in listed(tracker) if CHAMPION in row.aliases}
    if len(champions) != 1:
        there = "; ".join(f"version {version} of {seat}" for version, seat in sorted(champions.items()))
        raise NoVersionError(
            f"there are several champions: {there}" if champions else "there is no champion yet",
            "name the one to take back: `eraflow models rollback VERSION`" if champions else "run a week first",
        )
    return next(iter(champions))


def _version(tracker: Tracker, number: int) -> Any:
    name = tracker.settings.registered_model
    there = sorted(int(each.version) for each in _versions(tracker))
    if number in there:
        return tracker.link.call("get_model_version", name, str(number))
    known = f"there are {', '.join(map(str, there[-10:]))}" if there else "there is none yet"
    raise NoVersionError(f"{name} has no version {number}; {known}", "`eraflow models` lists them")


def _versions(tracker: Tracker) -> list[Any]:
    if not tracker.exists():
        return []
    tracker.experiment_id()  # corrects the addresses of a moved home
    return list(tracker.link.call("search_model_versions", f"name = '{tracker.settings.registered_model}'"))


def _aliases(tracker: Tracker) -> dict[str, str]:
    try:
        found = tracker.link.call("get_registered_model", tracker.settings.registered_model).aliases
    except NothingThereError:
        return {}
    return {str(alias): str(number) for alias, number in dict(found).items()}


def _row(tracker: Tracker, found: Any, aliases: dict[str, str], log: list[ChampionDecision]) -> Listed:
    tags, number = dict(found.tags), int(found.version)
    seat = Seat.of_tags(tags)
    kinds = tuple(kind for kind in (CHAMPION, CHALLENGER) if aliases.get(_alias(kind, seat)) == str(number))
    at = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return Listed(
        version=number,
        name=tags.get("run.name") or Path(tags.get("run_dir", "")).name,
        registered_at=at.isoformat(timespec="seconds"),
        weights=tags.get("run.weights_sha256") or tags.get("weights_sha256", ""),
        verdict=tags.get("verdict", ""),
        payout=_figure(tags.get("payout")),
        aliases=kinds,
        seat=seat,
        decisions=tuple(each for each in log if each.version == number),
        uri=f"{artifact_uri(tracker, found.run_id)}/{tags.get(PLACE_TAG, '')}",
    )


def _figure(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _told(tracker: Tracker, number: int) -> Listed:
    return next(row for row in listed(tracker) if row.version == number)


@contextmanager
def _turn(tracker: Tracker) -> Iterator[None]:
    """Decisions of one computer take turns; those of two that share a server are each atomic in the alias alone."""
    with storage_errors(tracker.home):
        tracker.home.mkdir(parents=True, exist_ok=True)
    with my_turn(tracker.home / TURN):
        yield
