"""Which features keep their partial association in every environment, once the others are known.

The idea is Invariant Causal Prediction (J. Peters, P. Bühlmann, N. Meinshausen, "Causal inference by using invariant
prediction", JRSS-B 78, 2016; with blocks of time as environments: N. Pfister, P. Bühlmann, J. Peters, "Invariant causal
prediction for sequential data", JASA 114, 2019): the regression of the target on its causes is the same in every
environment. The method there tests every subset of the features; with hundreds this is an approximation of it, a
greedy search forward:

1. Among the candidates, take the one with the most significant partial association given those looked at before: the
   coefficient of a least-squares regression fitted in each environment by itself, averaged over all eras.
2. Stop when it is not significant, at a false-discovery rate over all candidates of this step.
3. Test whether its coefficient is the same in all environments. If so it is chosen, otherwise put aside. What was put
   aside stays in the regression, with a coefficient of its own in each environment; otherwise everything that is
   correlated with it would be chosen, or put aside, in its place.
4. At the end test each of them again, given all the others chosen and put aside. Take back those put aside that are
   significant and invariant now (one may have varied only because of another that was not yet looked at). Drop chosen
   ones that are no longer significant (a proxy chosen before what it stood for), then the least invariant, until all
   pass.

Tested: that each chosen feature's coefficient is equal over the environments, in the linear regression of the
era-centred target on all that were chosen or put aside. The errors are robust to overlapping labels (EWC within each
environment), and each test has the stated level by itself: of many truly invariant features that share are put aside.

Not tested: the other half of invariance, that the residuals have one distribution in all environments; anything that
is not linear; other subsets, so there is no intersection of all accepted sets and no confidence statement about it;
the regression on the chosen ones alone, without those put aside; variables that are not among the features. A
coefficient that differs less than the errors passes. The rate of step 2 is controlled in each step, not over the
whole search.

So "causal" here means no more than this: a feature whose linear effect, given the others looked at, could not be told
apart between blocks of eras. That no effect of the target is taken for a cause of it follows from time, not from the
test: features are known before the target's days begin.

There are Python packages for the original method (causalicp, ICPy). They go through the subsets of the features and
take the rows within an environment for independent, which rows with overlapping labels are not; hence own code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc

from eraflow.discovery.association import same_rows, two_sided
from eraflow.discovery.falsediscovery import Correction, q_values
from eraflow.discovery.moments import Cells, Moments
from eraflow.scoring.ranking import BoolArray, FloatArray
from eraflow.scoring.statistics import cosine_count, cosine_variance, min_eras

GONE = 1e-6
"""A feature of whose variance less than this share is left is a copy of those chosen, or missing."""


@dataclass(frozen=True)
class Partial:
    """Partial coefficients, one entry for each feature.

    Attributes:
        coefficient: float64, mean over the environments, weighted by their eras; 0 where it cannot be told.
        by_environment: float64[environments, features], NaN where a feature is missing or gone.
        statistic: float64, coefficient over its overlap-robust error.
        p_value: float64, two-sided, against 0; 1 where it cannot be told.
        environment_p: float64, of the test that all environments have the same coefficient; NaN where it is known in
            fewer than two, and such a feature is not chosen.
    """

    coefficient: FloatArray
    by_environment: FloatArray
    statistic: FloatArray
    p_value: FloatArray
    environment_p: FloatArray


@dataclass
class Invariant:
    """What the search found; positions count the candidates.

    Attributes:
        chosen: in the order in which they were chosen.
        dropped: chosen first, then found not invariant given all others.
        superseded: chosen first, then found to add nothing to the others.
        aside: put aside as not invariant.
        full: whether the search ended because as many as allowed were chosen.
        statistic, p_value, environment_p: float64[candidates], partial, as of the last look at each of them; for the
            chosen ones given all the others chosen or put aside.
    """

    statistic: FloatArray
    p_value: FloatArray
    environment_p: FloatArray
    chosen: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    full: bool = False


def search(
    moments: Moments, *, rate: float, level: float, correction: Correction = "bh", most: int | None = None
) -> Invariant:
    """Choose features forward, then check the chosen set; see the module's text.

    Args:
        moments: of the candidates. They are used up: their arrays then hold what the chosen ones leave over.
        rate: false-discovery rate at which a partial association is significant.
        level: significance level of each test of invariance.
        correction: how the rate is controlled.
        most: end when so many are chosen.
    """
    width = moments.xy.shape[1]
    whole = Moments(moments.cells, moments.xx.astype(np.float32), moments.xy.copy())
    found = Invariant(np.zeros(width), np.ones(width), np.full(width, np.nan))
    original = variances(moments.xx)
    while not found.full:
        picked = _next(moments, original, found, rate, level, correction)
        if picked is None:
            break
        candidate, invariant = picked
        (found.chosen if invariant else found.aside).append(candidate)
        found.full = len(found.chosen) == most
        partial_out(moments, candidate, original)
    _take_back(whole, found, rate, level, correction, most)
    _check_the_set(whole, found, rate, level, correction)
    return found


def _next(
    moments: Moments, original: FloatArray, found: Invariant, rate: float, level: float, correction: Correction
) -> tuple[int, bool] | None:
    """The most significant candidate and whether it is invariant; None when none is significant."""
    partial = partials(moments.cells, variances(moments.xx), moments.xy, original)
    open_ = np.setdiff1d(np.arange(len(found.p_value)), np.array([*found.chosen, *found.aside], dtype=np.int64))
    for kept, new in (
        (found.statistic, partial.statistic),
        (found.p_value, partial.p_value),
        (found.environment_p, partial.environment_p),
    ):
        kept[open_] = new[open_]
    if not len(open_):
        return None
    best = np.lexsort((-np.abs(partial.statistic[open_]), partial.p_value[open_]))[0]
    if q_values(partial.p_value[open_], correction)[best] > rate:
        return None
    candidate = int(open_[best])
    return candidate, bool(partial.environment_p[candidate] >= level)


def variances(xx: FloatArray) -> FloatArray:
    """float64[cells, features]: a copy of the diagonals."""
    return np.array(np.einsum("cii->ci", xx), dtype=np.float64)


def partial_out(moments: Moments, chosen: int, original: FloatArray) -> None:
    """Replace every feature and the target by what a regression on `chosen`, in each environment, leaves over.

    Regressing on the chosen features one after the other, each time on what is left of the next, is the regression on
    all of them (Frisch, Waugh, Lovell).
    """
    cells = moments.cells
    row = moments.xx[:, chosen, :].copy()
    left = cells.mean_in_environments(row[:, chosen])
    usable = left > GONE * cells.mean_in_environments(original[:, chosen])
    inverse = np.divide(1.0, left, out=np.zeros_like(left), where=usable)
    slopes = (cells.mean_in_environments(row) * inverse[:, None])[cells.environment]
    slope_y = (cells.mean_in_environments(moments.xy[:, chosen]) * inverse)[cells.environment]
    own, with_y = row[:, chosen], moments.xy[:, chosen].copy()
    moments.xy -= slopes * with_y[:, None] + slope_y[:, None] * (row - slopes * own[:, None])
    half = row - 0.5 * slopes * own[:, None]
    for cell in range(len(row)):
        product = np.outer(slopes[cell], half[cell])
        moments.xx[cell] -= product + product.T


def partials(cells: Cells, xx: FloatArray, xy: FloatArray, original: FloatArray) -> Partial:
    """Coefficients of features whose other regressors are already partialled out, and their tests.

    Args:
        cells: how the eras are cut.
        xx: float64[cells, features], what is left of each feature's variance.
        xy: float64[cells, features], its covariance with what is left of the target.
        original: float64[cells, features], variance before anything was partialled out; 0 where missing.
    """
    known = original > 0
    eras = _sums(cells, known * cells.eras[:, None])
    size, joint = cells.mean_in_environments(xx), cells.mean_in_environments(xy)
    alive = (eras >= min_eras(cells.overlap)) & (size > GONE * cells.mean_in_environments(original))
    slopes = np.divide(joint, size, out=np.full_like(size, np.nan), where=alive)
    weight = eras * alive
    mean = np.nansum(weight * slopes, axis=0) / np.maximum(weight.sum(axis=0), 1)
    used = known & alive[cells.environment]
    # What each cell adds to the error of a coefficient: its score, over the mean variance in its known cells.
    share = cells.mean_in_environments(known.astype(np.float64))
    unit = np.divide(size, share, out=np.ones_like(size), where=alive)[cells.environment]
    around_mean = np.where(used, (xy - mean * xx) / unit, 0.0)
    around_own = np.where(used, (xy - np.nan_to_num(slopes)[cells.environment] * xx) / unit, 0.0)
    statistic, p_value = _against_zero(cells, mean, around_mean, used)
    environment_p = _equality(cells, slopes, weight, around_own, used)
    return Partial(mean, slopes, statistic, p_value, environment_p)


def _sums(cells: Cells, values: npt.NDArray[Any]) -> FloatArray:
    starts = np.flatnonzero(np.diff(cells.environment, prepend=-1))
    return np.asarray(np.add.reduceat(values, starts, axis=0), dtype=np.float64)


def _against_zero(cells: Cells, mean: FloatArray, scores: FloatArray, used: BoolArray) -> tuple[FloatArray, FloatArray]:
    statistic, p_value = np.zeros(len(mean)), np.ones(len(mean))
    for rows, columns in same_rows(used):
        if len(rows):
            degrees = cosine_count(int(cells.eras[rows].sum()), cells.overlap)
            error = np.sqrt(cosine_variance(scores[np.ix_(rows, columns)], degrees) / len(rows))
            statistic[columns] = np.divide(mean[columns], error, out=np.zeros(len(columns)), where=error > 0)
            p_value[columns] = two_sided(statistic[columns], np.array(degrees))
    return statistic, p_value


def _equality(cells: Cells, slopes: FloatArray, weight: FloatArray, scores: FloatArray, used: BoolArray) -> FloatArray:
    """p-values of the F test that all environments share one coefficient; the long-run variance is pooled over them.

    Neighbouring environments share a little of their labels, which makes their coefficients more alike: the test
    errs towards "invariant" by that much.
    """
    p_value = np.full(slopes.shape[1], np.nan)
    for rows, columns in same_rows(used):
        environments = np.unique(cells.environment[rows])
        if len(environments) < 2:
            continue
        degrees = 0
        pooled, between = np.zeros(len(columns)), np.zeros(len(columns))
        centre = np.average(slopes[np.ix_(environments, columns)], axis=0, weights=weight[environments, columns[0]])
        for environment in environments:
            own = rows[cells.environment[rows] == environment]
            cosines = cosine_count(int(cells.eras[own].sum()), cells.overlap)
            pooled = pooled + cosines * cosine_variance(scores[np.ix_(own, columns)], cosines)
            degrees += cosines
            between = between + len(own) * (slopes[environment, columns] - centre) ** 2
        spread = pooled / degrees
        ratio = np.divide(between / (len(environments) - 1), spread, out=np.zeros(len(columns)), where=spread > 0)
        p_value[columns] = fdtrc(len(environments) - 1, degrees, ratio)
    return p_value


def _take_back(
    whole: Moments, found: Invariant, rate: float, level: float, correction: Correction, most: int | None
) -> None:
    """Choose those put aside, one at a time, that are significant and invariant now that the others are known."""
    while found.aside and not found.full:
        partial = given_all_others(whole, [*found.aside, *found.chosen])
        count = len(found.aside)
        for kept, new in (
            (found.statistic, partial.statistic),
            (found.p_value, partial.p_value),
            (found.environment_p, partial.environment_p),
        ):
            kept[found.aside] = new[:count]
        significant = _q_among_all(found, found.aside, partial.p_value[:count], correction) <= rate
        able = np.flatnonzero(significant & (partial.environment_p[:count] >= level))
        if not len(able):
            return
        found.chosen.append(found.aside.pop(int(able[np.argmin(partial.p_value[able])])))
        found.full = len(found.chosen) == most


def _q_among_all(found: Invariant, some: list[int], p_value: FloatArray, correction: Correction) -> FloatArray:
    """q-values of some candidates; the others were candidates too, and count as if nothing had been found in them."""
    everybody = np.ones(len(found.p_value))
    everybody[some] = p_value
    return q_values(everybody, correction)[some]


def _check_the_set(whole: Moments, found: Invariant, rate: float, level: float, correction: Correction) -> None:
    """Drop chosen features, one at a time, until each is significant and invariant given all the others."""
    while found.chosen:
        count = len(found.chosen)
        partial = given_all_others(whole, [*found.chosen, *found.aside, *found.dropped])
        p_value, environment_p = partial.p_value[:count], partial.environment_p[:count]
        found.statistic[found.chosen] = partial.statistic[:count]
        found.p_value[found.chosen] = p_value
        found.environment_p[found.chosen] = environment_p
        if _q_among_all(found, found.chosen, p_value, correction).max() > rate:
            found.superseded.append(found.chosen.pop(int(np.argmax(p_value))))
            continue
        worst = int(np.argmin(np.nan_to_num(environment_p, nan=-1.0)))
        if environment_p[worst] >= level:
            return
        found.dropped.append(found.chosen.pop(worst))


def given_all_others(whole: Moments, chosen: list[int]) -> Partial:
    """The partial coefficients of a regression on all of `chosen` at once."""
    cells, picked = whole.cells, np.array(chosen, dtype=np.int64)
    xx = whole.xx[np.ix_(np.arange(len(whole.xy)), picked, picked)].astype(np.float64)
    xy = whole.xy[:, picked]
    left_xx, left_xy = np.empty_like(xy), np.empty_like(xy)
    for environment in range(cells.environments):
        own = cells.environment == environment
        precision = np.linalg.pinv(xx[own].mean(axis=0), rcond=GONE, hermitian=True)
        scale = np.diagonal(precision)
        # Row j of `others` times the features is what the others leave over of feature j.
        others = np.divide(precision, scale[:, None], out=np.zeros_like(precision), where=scale[:, None] > 0)
        slopes = precision @ xy[own].mean(axis=0)
        left_xx[own] = np.einsum("jk,ckl,jl->cj", others, xx[own], others, optimize=True)
        residual = xy[own] - xx[own] @ slopes
        left_xy[own] = residual @ others.T + slopes * left_xx[own]
    return partials(cells, left_xx, left_xy, variances(xx))
