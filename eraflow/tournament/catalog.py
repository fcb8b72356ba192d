"""features.json: the feature sets and targets of one data version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.tournament.footer import MissingFileError


class CatalogError(EraflowError):
    """features.json is broken, or not laid out as Numerai lays it out."""

    code = "features_json"


class UnknownFeatureSetError(EraflowError):
    """A feature set that features.json does not define."""

    code = "unknown_feature_set"
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

    def features(self, set_name: str) -> tuple[str, ...]:
        """The features of a set, in the order of the file; UnknownFeatureSetError lists the sets there are."""
        if set_name not in self.sets:
            raise UnknownFeatureSetError(
                f"features.json has no set {set_name!r}; it has {', '.join(self.sets)}",
                "set data.feature_set to one of these",
            )
        return self.sets[set_name]

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
    if not path.is_file():
        raise MissingFileError(f"{path} is not there", "download the data again, or name another folder")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} is not JSON ({error})", "delete it and download it again") from error
    sets = content.get("feature_sets") if isinstance(content, dict) else None
    if not isinstance(sets, dict) or not sets:
        raise CatalogError(f"{path} has no `feature_sets`", "delete it and download it again")
    targets = content.get("targets") or []
    return Catalog(
        {name: _names(path, f"feature set {name}", names) for name, names in sets.items()},
        _names(path, "targets", targets),
    )


def _names(path: Path, what: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CatalogError(f"{path}: {what} is not a list of names", "delete it and download it again")
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise CatalogError(f"{path}: {what} names {repeated[0]} twice", "delete it and download it again")
    return tuple(names)
