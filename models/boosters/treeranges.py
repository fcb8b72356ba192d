"""What is searched for boosters of trees, under each library's own name: every range with its reason.

Sources of the ranges: the tournament's published example settings (2,000 trees, rate .01, depth 5, 31 leaves, a tenth
of the features) and its deep settings (30,000 trees, rate .001, depth 10, 1,024 leaves, 10,000 rows a leaf, a tenth of
the features), between which they lie; and the libraries' own pages on tuning (LightGBM "Parameters Tuning", XGBoost
"Notes on Parameter Tuning", CatBoost "Parameter tuning").

Not searched, with reasons: the number of trees (every trial is looked at on its way, and the best number is read off);
the sampling of rows (in these data it costs score and saves little); L1 penalties and the least gain of a split (they
do what a penalty of squares and a least number of rows in a leaf do already, and 60 trials fill few dimensions).
"""

from __future__ import annotations

from models.base.ranges import Range

LEAF_SHARE = 0.01
"""A leaf, or a penalty counted in rows, of more than a hundredth of the rows leaves nothing to learn; the deep
settings' 10,000 rows are a 270th of Numerai's."""
FEWEST_FEATURES = 3
"""A tree that may look at fewer features finds no interaction."""


def rate(name: str, usual: float) -> Range:
    """The learning rate, around that of the unsearched model."""
    return Range(
        name,
        usual / 4,
        min(usual * 5, 0.5),
        "rate times trees is the way a model goes: 20 in the example settings, 30 in the deep ones; from a quarter to "
        "five times that of the unsearched model, and the number of trees ends the way earlier",
    )


def columns(name: str, features: int) -> Range:
    """The share of the features that a tree may use."""
    low = min(max(0.03, FEWEST_FEATURES / features), 0.5)
    return Range(
        name, low, 0.6, "features are redundant and noisy: a tenth is the example; above .6 trees grow alike and slow"
    )


def leaf_rows(name: str, rows: int, default: float) -> Range:
    """The least number of rows in a leaf."""
    return Range(
        name,
        20,
        max(100.0, rows * LEAF_SHARE),
        "the target is almost noise, so a leaf needs many rows; from the library's default to a hundredth of the rows",
        integer=True,
        regulariser=True,
        default=default,
    )


def squares(name: str, rows: int, default: float) -> Range:
    """The penalty of squared leaf values."""
    return Range(
        name,
        1.0,
        max(100.0, rows * LEAF_SHARE),
        "with squared error it counts in rows: so many rows at the mean are added to each leaf",
        regulariser=True,
        default=default,
    )


def depth(name: str) -> Range:
    """How deep a tree may be."""
    return Range(
        name, 3, 8, "depth is the order of interactions: 5 in the example, 10 in the deep settings; below 3 there are "
        "hardly any, above 8 a leaf has too few rows", log=False, integer=True,
    )  # fmt: skip
