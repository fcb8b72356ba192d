"""numerai_tools, called era by era with frames, as the judge of the vectorised scores."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numerai_tools import scoring as official

REFUSED = "refused"
TOO_FEW_ROWS = "does not have enough overlapping ids"


def frame(values, ids):
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    return pd.DataFrame(table, index=ids, columns=[f"p{j}" for j in range(table.shape[1])])


def series(values, ids):
    return pd.Series(np.asarray(values, dtype=np.float64), index=ids, name="target")


def per_era(groups, score: Callable[[slice], object]):
    """The reference's answer for each era: its columns, NaN for the rule on rows, REFUSED where it will not say."""
    answers = []
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        if start == stop:
            answers.append(np.array([np.nan]))
            continue
        try:
            with np.errstate(all="ignore"):
                answers.append(np.asarray(score(slice(int(start), int(stop))), dtype=np.float64))
        except AssertionError as error:
            answers.append(np.array([np.nan]) if TOO_FEW_ROWS in str(error) else REFUSED)
    return answers


def corr(predictions, target, groups, ids):
    return per_era(
        groups, lambda era: official.numerai_corr(frame(predictions[era], ids[era]), series(target[era], ids[era]))
    )


def contribution(predictions, meta, target, groups, ids):
    return per_era(
        groups,
        lambda era: official.correlation_contribution(
            frame(predictions[era], ids[era]), series(meta[era], ids[era]), series(target[era], ids[era])
        ),
    )


def fnc(predictions, features, target, groups, ids):
    """Rows without a prediction are left out before the call: the reference refuses them."""

    def score(era):
        known = ~np.isnan(predictions[era])
        assert known.any(), TOO_FEW_ROWS
        table = frame(predictions[era][known], ids[era][known]).sort_index()
        neutralisers = pd.DataFrame(features[era][known], index=ids[era][known]).sort_index()
        return official.feature_neutral_corr(table, neutralisers, series(target[era], ids[era]))

    return per_era(groups, score)


def exposure(predictions, features, groups, ids):
    def score(era):
        values = series(predictions[era], ids[era]).sort_index()
        table = pd.DataFrame(features[era], index=ids[era]).sort_index()
        return [official.max_feature_correlation(values, table)[1]]

    return per_era(groups, score)


def rank_correlation(predictions, other, groups, ids):
    def score(era):
        known = ~(np.isnan(predictions[era]) | np.isnan(other[era]))
        if known.mean() < 0.8:
            return [np.nan]
        a, b = (series(values[era][known], ids[era][known]).sort_index() for values in (predictions, other))
        return [official.spearman_correlation(a, b)]

    return per_era(groups, score)
