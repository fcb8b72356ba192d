"""features.json: the feature sets and targets of one data version."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.data.readable import reading, require_file
from eraflow.errors import EraflowError
from eraflow.foreigntext import cut
from eraflow.settings.features import in_short, signed, terms

MOST_BYTES = 64 << 20
"""Of features.json; Numerai's has some three megabytes."""
_AGAIN = "delete it and download it again"


class CatalogError(EraflowError):
    """features.json is broken, or not laid out as Numerai lays it out."""

    code = "features_json"


class UnknownFeatureSetError(EraflowError):
    """A feature set that features.json does not define."""

    code = "unknown_feature_set"
    exit_code = 2


class NoFeaturesError(EraflowError):
    """The features that are asked for are none at all."""

    code = "no_features"
    exit_code = 2


@dataclass(frozen=True)
class Catalog:
    """What features.json defines.

    Attributes:
        sets: set name -> features in their order.
        targets: target columns, in their order; empty when the file does not list them.
    """

    sets: dict[str, tuple[str, ...]]
    targets: tuple[str, ...]

    def features(self, asked: str | Sequence[str]) -> tuple[str, ...]:
        """The features that the setting `data.features` asks for, each once.

        A set is in the order of the file; what is added to it follows in the order in which it is named.

        Raises:
            UnknownFeatureSetError: a name is neither a set nor a feature; the text lists the sets and what is near.
            NoFeaturesError: nothing is left, or the statement begins by taking something away.
        """
        if isinstance(asked, str) and asked in self.sets:
            return self._whole(asked, self.sets[asked])
        stated, known = terms(asked), self.known
        chosen: dict[str, None] = {}
        for place, term in enumerate(stated):
            adds, name = (True, term) if term in self.sets or term in known else signed(term)
            if place == 0 and not adds:
                raise NoFeaturesError(
                    f"data.features={in_short(asked)} begins by taking {name[:80]} away, but from nothing",
                    f"begin with a set, for example {next(iter(self.sets))}{term[:80]}",
                )
            names = self._named(name, known)
            chosen = {**chosen, **dict.fromkeys(names)} if adds else _without(chosen, names)
        return self._whole(asked, tuple(chosen))

    def _named(self, name: str, known: frozenset[str]) -> Sequence[str]:
        if name in self.sets:
            return self.sets[name]
        if name in known:
            return [name]
        near = difflib.get_close_matches(name, [*self.sets, *known], n=1, cutoff=0.7) if len(name) < 200 else []
        raise UnknownFeatureSetError(
            f"features.json has no set and no feature {name[:80]!r}"
            + (f", did you mean {near[0]}?" if near else "")
            + f" Its sets are {', '.join(cut(each, 80) for each in list(self.sets)[:30])}",
            "set data.features to one of these, to names of features, or to a file with names (./mine.txt)",
        )

    @staticmethod
    def _whole(asked: str | Sequence[str], found: tuple[str, ...]) -> tuple[str, ...]:
        if not found:
            raise NoFeaturesError(
                f"data.features={in_short(asked)} leaves no feature to learn from", "choose a set that has features"
            )
        return found

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The sets that divide the features among themselves: no two of them have a feature in common.

        features.json does not say which sets are groups and which are selections (`small`, `all`) that cut across
        them. A selection has features in common with many groups, a group with a few selections: the set that has
        some in common with the most others goes, the largest of several, until none has any.
        """
        left = {name: frozenset(members) for name, members in self.sets.items()}
        while left:
            common = {name: sum(not mine.isdisjoint(each) for each in left.values()) for name, mine in left.items()}
            worst = max(left, key=lambda name: (common[name], len(left[name])))
            if common[worst] <= 1:  # itself
                break
            del left[worst]
        return {name: members for name, members in self.sets.items() if name in left and members}

    @property
    def known(self) -> frozenset[str]:
        """Every feature of any set."""
        return frozenset(name for names in self.sets.values() for name in names)


def read_catalog(path: Path | str) -> Catalog:
    """Read features.json.

    Raises:
        MissingFileError: it is not there.
        CatalogError: it is not JSON, has no feature sets, or a set is not a list of different names.
    """
    path = Path(path)
    if require_file(path).st_size > MOST_BYTES:
        raise CatalogError(f"{path} has {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read", _AGAIN)
    with reading(path, lambda reason: CatalogError(f"{path} is not JSON ({reason})", _AGAIN)):
        content = json.loads(path.read_text(encoding="utf-8"))
    sets = content.get("feature_sets") if isinstance(content, dict) else None
    if not isinstance(sets, dict) or not sets:
        raise CatalogError(f"{path} has no `feature_sets`", _AGAIN)
    targets = content.get("targets") or []
    return Catalog(
        {name: _names(path, f"feature set {cut(name, 80)}", names) for name, names in sets.items()},
        _names(path, "targets", targets),
    )


def _names(path: Path, what: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CatalogError(f"{path}: {what} is not a list of names", _AGAIN)
    repeated = [name for name, times in Counter(names).items() if times > 1] if len(set(names)) < len(names) else []
    if repeated:
        raise CatalogError(f"{path}: {what} names {cut(min(repeated), 80)} twice", _AGAIN)
    return tuple(names)


def _without(chosen: Mapping[str, None], names: Sequence[str]) -> dict[str, None]:
    dropped = set(names)
    return {name: None for name in chosen if name not in dropped}
