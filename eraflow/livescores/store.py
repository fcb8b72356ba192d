"""Where live scores are kept: a folder a slot in the home, with every value that was ever told of a day.

    livescores/SOURCE/SLOT/slot.json        the slot's id and name
    livescores/SOURCE/SLOT/scores.parquet   one row a round, submission, score, day and value
    livescores/SOURCE/SLOT/promises/        what the backtest of each submission promised

A value that is told again adds nothing; one that was revised adds a row, and the one before stays. Each file is written
to a temporary name and renamed, so a process that dies leaves the scores as they were, and the tournament tells again
what was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from eraflow.disk.atomic import atomic_path, write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.disk.locks import my_turn
from eraflow.disk.plainnames import is_plain_name
from eraflow.disk.plainpaths import read_parquet
from eraflow.numerai.livescores import ScoreRow

FOLDER = "livescores"
SCORES = "scores.parquet"
SLOT = "slot.json"
KEY = ("round", "submission", "score", "day")
SCHEMA: dict[str, pl.DataType] = {
    "round": pl.Int32(),
    "submission": pl.String(),
    "score": pl.String(),
    "day": pl.Int16(),
    "date": pl.Datetime("us", "UTC"),
    "value": pl.Float64(),
    "percentile": pl.Float64(),
    "resolved": pl.Boolean(),
    "seen": pl.Datetime("us", "UTC"),
}
"""`day` counts trading days of the score, `date` is when it was scored, `seen` when this home first heard of it."""


@dataclass(frozen=True)
class SlotScores:
    """The folder of one slot.

    Attributes:
        folder: in the home.
        source: where the scores come from, as `source_key` names it.
        slot_id: of the slot at the tournament.
        name: of the slot, for people.
    """

    folder: Path
    source: str
    slot_id: str
    name: str

    def rows(self) -> pl.DataFrame:
        """Every value that was ever told, in the columns of `SCHEMA`, in the order of `KEY` and of hearing of it."""
        path = self.folder / SCORES
        return read_parquet(path) if path.exists() else pl.DataFrame(schema=SCHEMA)

    def newest(self) -> pl.DataFrame:
        """One row a round, submission, score and day: what was told last."""
        return self.rows().unique(subset=list(KEY), keep="last", maintain_order=True)

    def add(self, told: Sequence[ScoreRow], now: datetime) -> int:
        """Keep what was told; how many rows are new or revised.

        Args:
            told: rows that hold a value.
            now: the tournament's time, with its time zone.

        Raises:
            StorageError: the home cannot be written; what was kept stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with my_turn(self.folder / "turn"):
            write_json(self.folder / SLOT, {key: str(value) for key, value in asdict(self).items() if key != "folder"})
            before = self.rows()
            fresh = _fresh(before, _frame(told, now))
            if fresh.height:
                with atomic_path(self.folder / SCORES) as temporary:
                    pl.concat([before, fresh]).sort([*KEY, "seen"], maintain_order=True).write_parquet(temporary)
        return fresh.height


def slot_scores(home: Path, source: str, slot_id: str, name: str = "") -> SlotScores:
    """The folder of a slot, which need not be there yet. An id that is no plain name is told by its hash."""
    part = slot_id if is_plain_name(slot_id) else value_sha256(slot_id)[:16]
    return SlotScores(home / FOLDER / source / part, source, slot_id, name)


def slots_with_scores(home: Path) -> list[SlotScores]:
    """Every slot that live scores are kept of, in the order of source and name."""
    found = []
    for place in sorted((home / FOLDER).glob(f"*/*/{SLOT}")):
        told = read_object(place) or {}
        named = (str(told.get(key, "")) for key in ("source", "slot_id", "name"))
        found.append(SlotScores(place.parent, *named))
    return sorted(found, key=lambda each: (each.source, each.name, each.slot_id))


def rounds_to_ask(newest: pl.DataFrame, margin: int) -> int | None:
    """How many of the newest rounds have to be asked for, so that every score that may still change is among them.

    Args:
        newest: what is kept of a slot.
        margin: rounds more than those between the oldest unresolved round and the newest one that is known.

    Returns:
        None where nothing is kept yet: then all are asked for.
    """
    if not newest.height:
        return None
    last = newest.group_by("round", "score").agg(pl.col("resolved").last())
    open_rounds = last.filter(~pl.col("resolved").fill_null(value=False))["round"]
    known = int(newest["round"].max())  # type: ignore[arg-type]
    first = known if not open_rounds.len() else int(open_rounds.min())  # type: ignore[arg-type]
    return known - first + 1 + margin


def _frame(told: Sequence[ScoreRow], now: datetime) -> pl.DataFrame:
    columns = {
        "round": [row.round_number for row in told],
        "submission": [row.submission_id for row in told],
        "score": [row.name for row in told],
        "day": [row.day for row in told],
        "date": [row.date[:19].replace(" ", "T") for row in told],
        "value": [row.value for row in told],
        "percentile": [row.percentile for row in told],
        "resolved": [row.resolved for row in told],
        "seen": [now] * len(told),
    }
    frame = pl.DataFrame(columns, schema={**SCHEMA, "date": pl.String()}).with_columns(
        pl.col("date").str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
    )
    return frame.drop_nulls("date").unique(subset=list(KEY), keep="first", maintain_order=True)


def _fresh(before: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """The rows that say another thing than what was told last of their day."""
    last = before.unique(subset=list(KEY), keep="last").select(*KEY, "value", "percentile", "resolved")
    same = told.join(last, on=[*KEY, "value", "percentile", "resolved"], how="semi", nulls_equal=True)
    return told.join(same.select(*KEY), on=list(KEY), how="anti").select(list(SCHEMA))
