"""Which eras a model learned from, and which predictions are therefore no evidence of skill.

A model's predictions of eras that it learned from are in-sample: their scores flatter. So do those of eras within the
purge of these, because labels overlap. What a model learned from is kept beside it (`learned.json`); what is predicted
with it carries that along (`eraflow.scoring.originfile`).
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from eraflow.data.eralabels import WIDTH
from eraflow.disk.atomic import write_json

LEARNED_FILE = "learned.json"
METADATA = "eraflow"
"""Key in the metadata of a parquet file."""
FORMAT = 1

NO_NOTE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a note raises where there is none, or something else."""

Standing = Literal["out of sample", "learned", "overlapping"]


@dataclass(frozen=True)
class Learned:
    """What one model learned from.

    Attributes:
        eras: the numbers of these eras, rising.
        purge_weeks: how far the labels that it learned reach beyond each, with the margin of the purge.
    """

    eras: tuple[int, ...]
    purge_weeks: int

    def standing(self, era: int, purge_weeks: int) -> Standing:
        """Of an era whose own labels reach `purge_weeks` ahead."""
        after = bisect_left(self.eras, era)
        if after < len(self.eras) and self.eras[after] == era:
            return "learned"
        if after and era - self.eras[after - 1] <= self.purge_weeks:
            return "overlapping"
        following = bisect_right(self.eras, era)
        near = following < len(self.eras) and self.eras[following] - era <= purge_weeks
        return "overlapping" if near else "out of sample"

    def as_dict(self) -> dict[str, Any]:
        """JSON values; neighbouring eras as spans."""
        return {"format": FORMAT, "eras": _spans(self.eras), "purge_weeks": self.purge_weeks}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Learned:
        """The inverse of `as_dict`; ValueError, KeyError or TypeError for anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        eras = sorted({number for span in values["eras"] for number in _numbers(span)})
        return cls(tuple(eras), int(values["purge_weeks"]))


@dataclass(frozen=True)
class Origin:
    """How the predictions of a file came about.

    Attributes:
        out_of_fold: each era was predicted by models that had learned nothing from it or its neighbours.
        members: what each model learned from, where one and the same ensemble predicted all eras; None: not known.
        oof_file: where the run that made these models keeps its out-of-fold predictions, if that is known.
    """

    out_of_fold: bool = False
    members: tuple[Learned, ...] | None = None
    oof_file: str | None = None

    @property
    def known(self) -> bool:
        """Whether it can be told which eras are in-sample."""
        return self.out_of_fold or self.members is not None

    @cached_property
    def purge_weeks(self) -> int:
        """The longest of the members."""
        return max((member.purge_weeks for member in self.members or ()), default=0)

    def standing(self, era: str, purge_weeks: int | None = None) -> Standing:
        """Whether predictions of an era are evidence of skill; the live era's always are.

        Args:
            era: its label.
            purge_weeks: how far the labels reach that it is scored on; None: as far as those of the members.
        """
        if self.out_of_fold or not era.isdigit():
            return "out of sample"
        reach = self.purge_weeks if purge_weeks is None else purge_weeks
        found = {member.standing(int(era), reach) for member in self.members or ()}
        return "learned" if "learned" in found else "overlapping" if "overlapping" in found else "out of sample"

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        members = None if self.members is None else [member.as_dict() for member in self.members]
        return {"format": FORMAT, "out_of_fold": self.out_of_fold, "members": members, "oof_file": self.oof_file}

    def as_metadata(self) -> dict[str, str]:
        """For the metadata of a parquet file; the same origin gives the same bytes."""
        return {METADATA: json.dumps(self.as_dict(), sort_keys=True)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Origin:
        """The inverse of `as_dict`; ValueError, KeyError or TypeError for anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        members, oof = values["members"], values["oof_file"]
        return cls(
            values["out_of_fold"] is True,
            None if members is None else tuple(Learned.from_dict(member) for member in members),
            oof if isinstance(oof, str) else None,
        )


OUT_OF_FOLD = Origin(out_of_fold=True)
UNKNOWN = Origin()


def write_learned(folder: Path, eras: Iterable[str], purge_weeks: int) -> None:
    """Note beside a saved model what it learned from."""
    write_json(folder / LEARNED_FILE, Learned(tuple(sorted(map(int, eras))), purge_weeks).as_dict())


def read_learned(folder: Path) -> Learned | None:
    """What the model in a folder learned from; None where nobody noted it, as before there was such a note."""
    try:
        return Learned.from_dict(json.loads((folder / LEARNED_FILE).read_text(encoding="utf-8")))
    except NO_NOTE:
        return None


def origin_of(folders: Sequence[Path]) -> Origin:
    """Of what the models in these folders predict; unknown as soon as one of them does not tell."""
    found = [read_learned(folder) for folder in folders]
    members = tuple(member for member in found if member is not None)
    return Origin(members=members if members and len(members) == len(folders) else None)


def _spans(eras: Sequence[int]) -> list[str]:
    """Rising numbers as `0001-0574`, or `0042` for one that stands alone."""
    spans = []
    for _, run in groupby(enumerate(eras), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        first, last = (str(number).zfill(WIDTH) for number in (numbers[0], numbers[-1]))
        spans.append(first if first == last else f"{first}-{last}")
    return spans


def _numbers(span: str) -> range:
    first, _, last = span.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if len(numbers) > 10**WIDTH:
        raise ValueError(f"{len(numbers)} eras")
    return numbers
