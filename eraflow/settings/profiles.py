"""The three profiles: what they change against the defaults."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from eraflow.kinds import USUAL

ProfileName = Literal["sandbox", "laptop", "workstation"]

# The boosters of the defaults, each as its usual bag, and the networks that came nearest to them for their time. Each
# of these is left out, and said to be, where the extra is not installed or its training would not end within
# machine.training_hours.
MEMBERS: list[dict[str, Any]] = [
    *({"kind": kind, "name": kind, "bag": {"standard": True}} for kind in USUAL),
    {"kind": "mlp", "optional": True},
    {"kind": "autoencoder", "optional": True},
]

PROFILES: dict[str, dict[str, Any]] = {
    # A complete week on generated data in a few minutes on two cores.
    "sandbox": {
        "source": {"kind": "sandbox"},
        "data": {"target": "target_ender_20", "features": "all"},
        "windows": {"folds": 3},
        "models": [
            {"kind": "lightgbm", "params": {"n_estimators": 200, "learning_rate": 0.05}},
            {"kind": "xgboost", "params": {"n_estimators": 200, "learning_rate": 0.05}},
            {"kind": "catboost", "params": {"n_estimators": 200, "learning_rate": 0.08}},
        ],
        "selection": {"importance_rows": 100},
        "machine": {"memory_mb": 2_000},
        "round": {"wait_minutes": 2, "poll_seconds": 1},
    },
    # 6 cores, 16 GB, a GPU with 12 GB or none: the medium set and the example settings of the tournament. These are the
    # defaults.
    "laptop": {"models": MEMBERS},
    # More memory and cores: all features, more windows.
    "workstation": {
        "data": {"features": "all"},
        "windows": {"folds": 8},
        "models": MEMBERS,
        "machine": {"memory_mb": 48_000, "training_hours": 48},
    },
}


SECTIONS = frozenset(
    [
        "source",
        "sandbox",
        "data",
        "windows",
        "models",
        "selection",
        "search",
        "blend",
        "gate",
        "machine",
        "round",
        "submit",
        "alert",
        "tracking",
        "clean",
    ]  # of RunSettings
)


def _profile_fields() -> dict[str, frozenset[str]]:
    """Class name of a group of settings -> its fields that some profile changes."""
    changed: dict[str, set[str]] = {"RunSettings": set(SECTIONS)}
    for profile in PROFILES.values():
        for section, values in profile.items():
            if isinstance(values, dict):
                changed.setdefault(f"{section.rstrip('s').capitalize()}Settings", set()).update(values)
    return {name: frozenset(fields) for name, fields in changed.items()}


PROFILE_FIELDS = _profile_fields()


def profile_values(name: str) -> dict[str, Any]:
    """The values that the profile `name` changes; an unknown name is left to the field's own validation."""
    return deepcopy(PROFILES.get(name, {}))
