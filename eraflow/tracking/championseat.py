"""What a champion is the champion of: where the data came from, the model slot, and the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eraflow.disk.digest import value_sha256

SEAT_TAG = "seat"
CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Seat:
    """The place that a champion holds.

    Attributes:
        source: where the data came from, and their version, such as `numerai/v5.3`.
        slot: id of the model slot; empty when none is known.
        target: what is predicted.
        slot_name: the slot's name, for people; no part of the seat, as a slot can be renamed.
    """

    source: str
    slot: str
    target: str
    slot_name: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """A short name that MLflow takes in an alias."""
        return value_sha256([self.source, self.slot, self.target])[:12]

    @property
    def alias(self) -> str:
        """The alias of this seat's champion."""
        return self.alias_of(CHAMPION)

    def alias_of(self, kind: str) -> str:
        """The alias of this seat's champion or challenger."""
        return f"{kind}-{self.key}"

    @property
    def tags(self) -> dict[str, str]:
        """What is recorded with a version."""
        told = {"source": self.source, "slot": self.slot, "target": self.target, "slot_name": self.slot_name}
        return {**told, SEAT_TAG: self.key}

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> Seat | None:
        """The seat that a version's tags tell; None for one that was registered without a seat."""
        if SEAT_TAG not in tags:
            return None
        told = (tags.get(name, "") for name in ("source", "slot", "target", "slot_name"))
        return cls(*told)

    def __str__(self) -> str:
        slot = self.slot_name or self.slot
        return f"{self.source}, {f'slot {slot}' if slot else 'any slot'}, {self.target or 'unknown target'}"
