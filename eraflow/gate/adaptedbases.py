"""The bases that members of an ensemble were made of: which, how old, and whether adapters were merged into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.runs.weekrecord import members

HASH_SHOWN = 12


@dataclass(frozen=True)
class AdaptedBase:
    """The base of one member's model for live.

    Attributes:
        member: its name.
        sha256: of the base's weights.
        last_era: the last that the base has learnt from.
        age_eras: weeks from there to the newest era that the member might learn from.
        merged: whether adapters were merged into it.
        lower_bound: of the mean difference in CORR that adapters made on the judged eras; None: nothing was judged.
        text: all of this for people.
    """

    member: str
    sha256: str
    last_era: str
    age_eras: int
    merged: bool
    lower_bound: float | None
    text: str


def adapted_bases(run_dir: Path) -> tuple[AdaptedBase, ...]:
    """Those of the trained members of a run, as their stages tell; none of most kinds."""
    told = {name: member["adaptation"] for name, member in members(run_dir).items() if "adaptation" in member}
    return tuple(_base(name, each["live"], each["windows"]) for name, each in told.items())


def _base(name: str, live: Mapping[str, Any], windows: Iterable[Mapping[str, Any]]) -> AdaptedBase:
    merged = [bool(window["merged"]) for window in windows]
    text = (
        f"{name}: base {live['base'][:HASH_SHOWN]}, trained up to era {live['base_last_era']}, {live['age_eras']} eras "
        f"before the newest one; {live['why']}; adapters were merged in {sum(merged)} of {len(merged)} windows"
    )
    return AdaptedBase(
        name,
        str(live["base"]),
        str(live["base_last_era"]),
        int(live["age_eras"]),
        bool(live["merged"]),
        live["lower_bound"],
        text,
    )
