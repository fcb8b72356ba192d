"""What a kind of model states so that parameters can be searched for it; see models/search."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from models.base.ranges import Range


class Searched:
    """A kind that is searched.

    Attributes:
        length_name: its word for how long it is trained: the number of trees, or of updates.
        length_unit: what that counts, for people.
        looks_add: whether what a look sees is to be added to what those before it have seen (trees), or stands for
            itself (weights).
        starting_points: parameters with which a search begins beside the defaults.
        searched_with: what the models of a search have besides, where the settings do not state it; the defaults, which
            they are compared with, have it not.
    """

    length_name: ClassVar[str]
    length_unit: ClassVar[str]
    looks_add: ClassVar[bool]
    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    searched_with: ClassVar[Mapping[str, Any]] = {}

    @staticmethod
    @abstractmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """What is searched for it, in its own names.

        Args:
            known: params of the unsearched model, in its own names.
            rows: that the largest fold learns from.
            features: columns of the matrix.
        """

    def _own_name(self, name: str) -> str:
        """What it calls a parameter that people may call `name`."""
        return name


class UpdateWatch(Protocol):
    """Looks at a network while it is trained.

    Attributes:
        looks: after so many updates each, ascending; the last are all.
    """

    looks: Sequence[int]

    def __call__(self, updates: int, model: Any) -> bool:
        """One look at a model that predicts with the weights of now. True: stop here; the fit then ends normally."""
