"""Names of generated features, their groups, and the feature sets of features.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

# Share of each group, after the sizes that Numerai publishes for its own groups.
GROUP_SIZES = {
    "intelligence": 35,
    "charisma": 290,
    "strength": 135,
    "dexterity": 51,
    "constitution": 335,
    "wisdom": 140,
    "agility": 145,
    "serenity": 95,
}
CLUSTER = 5  # features that share one factor
THEMES = 3  # see eraflow/sandbox/erasign.py
Division = Literal["groups", "clusters", "themes"]

_WORDS = (
    "amber brisk calm dusky eager faint gaunt hollow inland jovial keen lunar mellow nimble ochre plain quiet rustic "
    "silent tepid upland vivid windy zesty",
    "anvil basin cedar delta ember fjord gable harbor islet juniper kettle lagoon meadow nettle orchard prairie quarry "
    "ridge saddle timber umber valley willow yarrow",
    "arch bell coil drum edge fern gate hull iris jade knot loom mast node oar pier",
)
_FIRST, _SECOND, _THIRD = (words.split() for words in _WORDS)


@dataclass(frozen=True)
class FeatureNames:
    """The generated features in file order.

    Attributes:
        names: column names, `feature_<word>_<word>_<word>`, unique.
        sets: feature set name -> names in file order.
        cluster: int64[n_features], the factor that a feature shares with its neighbours.
        group: int64[n_features], position of the feature's group in `GROUP_SIZES`.
    """

    names: tuple[str, ...]
    sets: dict[str, tuple[str, ...]]
    cluster: np.ndarray
    group: np.ndarray


def name_features(count: int, seed: int, *, divided: Division = "groups") -> FeatureNames:
    """Names, groups and sets of `count` features (8 to 9,216); the same seed gives the same names.

    Args:
        count: of the features.
        seed: of the generated data.
        divided: which parts have a set each: the groups, the clusters, or the themes. The latter two are called by the
            group in which they begin (`charisma_2`).
    """
    rng = np.random.default_rng([seed, 11])
    picks = rng.permutation(len(_FIRST) * len(_SECOND) * len(_THIRD))[:count]
    names = tuple(_words(int(pick)) for pick in picks)
    place = rng.permutation(count)
    group = np.searchsorted(np.cumsum(_allot(count)), place, side="right")
    order = rng.permutation(count)
    sets = {
        "small": _pick(names, order[: min(42, max(4, count // 3))]),
        "medium": _pick(names, order[: min(780, max(8, 2 * count // 3))]),
        "all": names,
        "fncv3_features": _pick(names, order[::2][:400]),
    }
    cluster = place // CLUSTER
    if divided == "groups":
        sets |= {title: _pick(names, np.flatnonzero(group == at)) for at, title in enumerate(GROUP_SIZES)}
    else:
        sets |= _numbered_sets(names, cluster if divided == "clusters" else themes_of(cluster), group)
    return FeatureNames(names, sets, cluster, group)


def themes_of(cluster: np.ndarray) -> np.ndarray:
    """int64[n_features], 0 to THEMES - 1: whole clusters, in their order, about as many for each theme."""
    return np.asarray(cluster * THEMES // (int(cluster.max()) + 1))


def _numbered_sets(names: tuple[str, ...], parts: np.ndarray, group: np.ndarray) -> dict[str, tuple[str, ...]]:
    """A set a part, under the name of the group in which it begins."""
    titles, sets = list(GROUP_SIZES), {}
    count = dict.fromkeys(titles, 0)
    for number in range(int(parts.max()) + 1):
        members = np.flatnonzero(parts == number)
        title = titles[int(group[members].min())]
        count[title] += 1
        sets[f"{title}_{count[title]}"] = _pick(names, members)
    return sets


def target_column(name: str, days: int) -> str:
    """`target_<name>_<days>`."""
    return f"target_{name}_{days}"


def benchmark_column(version: str, days: int) -> str:
    """Column of a benchmark file: `v53_lgbm_ender20` for version `v5.3`."""
    return f"{version.replace('.', '')}_lgbm_ender{days}"


def _words(pick: int) -> str:
    rest, third = divmod(pick, len(_THIRD))
    first, second = divmod(rest, len(_SECOND))
    return f"feature_{_FIRST[first]}_{_SECOND[second]}_{_THIRD[third]}"


def _allot(count: int) -> np.ndarray:
    """Share `count` features out among the groups; every group gets at least one."""
    weights = np.array(list(GROUP_SIZES.values()), dtype=np.float64)
    sizes = 1 + np.floor((count - len(weights)) * weights / weights.sum()).astype(np.int64)
    sizes[int(np.argmax(weights))] += count - int(sizes.sum())
    return np.asarray(sizes)


def _pick(names: tuple[str, ...], positions: np.ndarray) -> tuple[str, ...]:
    return tuple(names[position] for position in np.sort(positions))
