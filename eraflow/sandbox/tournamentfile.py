"""What time it is in a folder's tournament, and which round is open: `FOLDER/.tournament.json`.

A folder without this file is served as of now. With it, every sandbox that serves the folder begins at the moment that
the file names, so that a season of weeks can be played in one go: only who serves the folder writes the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.sandbox.calendar import RoundSpec

FILE = ".tournament.json"


class TournamentFileError(EraflowError):
    """The .tournament.json of a served folder does not say which round there is. Remove it, or write it anew."""

    code = "tournament_file"


@dataclass(frozen=True)
class ServedMoment:
    """The moment at which the sandbox begins, with its time zone, the round then, and the version of the data.

    The version is None where whoever starts the sandbox says it.
    """

    now: datetime
    round: RoundSpec
    version: str | None = None


def tell_tournament(folder: Path, told: ServedMoment) -> Path:
    """Write it; the sandboxes that are started from now on begin there."""
    return write_json(
        folder / FILE, {"now": told.now.isoformat(), "round": asdict(told.round), "version": told.version}
    )


def told_tournament(folder: Path, otherwise: RoundSpec) -> ServedMoment | None:
    """What the file says; fields of the round that it leaves out are those of `otherwise`. None: there is no file.

    Raises:
        TournamentFileError: it cannot be understood.
    """
    path = folder / FILE
    if not path.exists():
        return None
    values: dict[str, Any] = read_object(path) or {}
    try:
        now = datetime.fromisoformat(values["now"])
        known = {part.name for part in fields(RoundSpec)}
        spec = replace(otherwise, **{key: value for key, value in values["round"].items() if key in known})
        if now.tzinfo is None:
            raise ValueError("a time without a time zone")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TournamentFileError(f"{path} cannot be understood ({error})", "remove it, or write it anew") from error
    version = values.get("version")
    return ServedMoment(now, spec, version if isinstance(version, str) else None)
