"""The rules of the gate: each is a function of the case that returns what it found.

Which rule is a proof and which only an alarm follows from what overlapping labels allow to be known. CORR can be
certified on all out-of-fold eras. The meta model covers about a hundred eras, on which a 60-day target needs a Sharpe
of .9 for a certificate: there a floor is asked for, and that harm is not proved. A recent window is an alarm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eraflow.data.eras import era_number
from eraflow.gate.case import Ask, Case, needed, on_common_eras, too_few
from eraflow.gate.leakrules import feature_copy, feature_corr, lead
from eraflow.gate.verdict import RuleResult
from eraflow.scoring.certificate import certificate
from eraflow.scoring.overfitting import LEAST_BLOCKS, judge_choices
from eraflow.scoring.scoring import NO_ERAS, EraScores
from eraflow.scoring.statistics import (
    NEGLIGIBLE,
    difference_of_windows,
    ewc_interval,
    max_drawdown,
    min_eras,
    paired_comparison,
)

WITH_HISTORY = ("corr", "bmc")
"""Certificates for which the benchmark's CORR tells whether the judged eras were good ones: it covers so many."""


def models(case: Case) -> list[RuleResult]:
    """Enough models must have been trained for the blend to be what was meant."""
    least = case.settings.min_models
    text = f"{case.models_trained} of {case.models_wanted} models were trained, at least {least} wanted"
    ask = Ask("models", "floor", least, NO_ERAS)
    return [ask.result(case.models_trained >= least, text, case.models_trained)]


def predictions(case: Case) -> list[RuleResult]:
    """No prediction may be missing, and no era's predictions constant. This rule cannot be switched off."""
    missing, unscored = case.scores.missing_predictions, case.scores.unscored_eras
    ask = Ask("predictions", "cap", 0, case.era_scores("corr"))
    text = f"{missing} of {case.scores.rows} rows without a finite prediction, none allowed"
    if unscored:
        text += f"; {len(unscored)} eras cannot be scored (constant or missing predictions), the first is {unscored[0]}"
    return [ask.result(missing == 0 and not unscored, text, missing + len(unscored))]


def corr(case: Case) -> list[RuleResult]:
    """Certificate: the calibrated lower bound of mean CORR lies above the threshold."""
    return [] if case.settings.corr_bound is None else [_certificate(case, "corr", case.settings.corr_bound)]


def bmc(case: Case) -> list[RuleResult]:
    """A certificate when `bmc_bound` is set; otherwise an alarm when BMC is significantly negative."""
    if case.settings.bmc_bound is not None:
        return [_certificate(case, "bmc", case.settings.bmc_bound)]
    return [_not_negative(case, "bmc")]


def mmc(case: Case) -> list[RuleResult]:
    """A floor for mean MMC, and an alarm when it is significantly negative."""
    floor = case.settings.mmc_floor
    if floor is None:
        return []
    over = case.era_scores("mmc")
    ask = Ask("mmc_floor", "floor", floor, over)
    if (why := too_few(case, "mmc")) is not None:
        return [ask.not_judged(why), _not_negative(case, "mmc")]
    mean = float(np.mean(over.values))
    text = f"mean MMC {mean:+.4f}, must lie above {floor:+.4f} (a point estimate, no bound)"
    return [ask.result(mean > floor, text, mean), _not_negative(case, "mmc")]


def payout(case: Case) -> list[RuleResult]:
    """Certificate, when `payout_bound` is set: of the payout alone, on the eras that the meta model covers."""
    return [] if case.settings.payout_bound is None else [_certificate(case, "payout", case.settings.payout_bound)]


def recent(case: Case) -> list[RuleResult]:
    """Alarm when the last eras are significantly worse than those before, the overlap left out between them."""
    window, confidence = case.settings.recent_eras, case.settings.recent_confidence
    if window is None:
        return []
    over = case.era_scores("corr")
    last = EraScores(over.eras[-window:], over.values[-window:])
    ask = Ask("recent", "alarm", 0.0, last, 1 - confidence)
    past = over.values[: -(window + case.overlap)]
    if min(len(past), len(last.values)) < min_eras(case.overlap):
        return [
            ask.not_judged(
                f"{len(past)} eras before the window, {len(last.values)} in it; {needed(case)} needed in each"
            )
        ]
    found = difference_of_windows(past, last.values, case.overlap, confidence)
    text = (
        f"mean CORR of the window less that of the {len(past)} eras before it is {found.mean:+.4f}, "
        f"upper {confidence:.0%} bound {found.high:+.4f}, blocks below 0 ({case.overlap} eras left out between)"
    )
    return [ask.result(found.high >= 0, text, found.mean, found.high)]


def drawdown(case: Case) -> list[RuleResult]:
    """Cap on the largest fall of cumulative CORR, as a share of the whole gain."""
    cap = case.settings.max_drawdown
    if cap is None:
        return []
    over = case.era_scores("corr")
    ask = Ask("drawdown", "cap", cap, over)
    if not over.eras:
        return [ask.not_judged("no era has a CORR")]
    fall, gain = max_drawdown(over.values), float(np.sum(over.values))
    if gain <= 0:
        return [ask.result(False, f"cumulative CORR falls by up to {fall:.3f} and gains nothing ({gain:+.3f})")]
    text = f"cumulative CORR falls by up to {fall:.3f}, {fall / gain:.0%} of the gain of {gain:.3f}; at most {cap:.0%}"
    return [ask.result(fall / gain <= cap, text, fall / gain)]


def exposure(case: Case) -> list[RuleResult]:
    """Cap on the mean over eras of the largest correlation with a single feature."""
    cap = case.settings.max_exposure
    if cap is None:
        return []
    over = case.era_scores("max_exposure")
    ask = Ask("exposure", "cap", cap, over)
    if not over.eras:
        return [ask.not_judged("exposure was not measured")]
    mean = float(np.mean(over.values))
    return [ask.result(mean <= cap, f"largest feature exposure {mean:.3f} on average, at most {cap:.3f}", mean)]


def choices(case: Case) -> list[RuleResult]:
    """Cap on what choosing may have cost: blocks where overfitting is likely and the deflated Sharpe ratio is low."""
    most, least = case.settings.max_overfit, case.settings.min_deflated
    if most is None:
        return []
    over = case.era_scores("corr")
    found = judge_choices(over, case.tried, case.overlap) if over.eras else None
    ask = Ask("choices", "cap", most, over)
    if found is None:
        return [ask.not_judged("no second configuration is known on these eras, so nothing was chosen")]
    told = f"{found.configurations} configurations on {found.eras} eras {found.first} to {found.last}"
    if found.overfitting is None:
        few = f"too few eras for {LEAST_BLOCKS} blocks of {2 * case.overlap} weeks"
        return [ask.not_judged(f"{told}: {few}; deflated Sharpe ratio {found.deflated:.2f}")]
    text = (
        f"{told}: the probability that the best in one half is no better than the median in the other is "
        f"{found.overfitting:.2f}, the deflated Sharpe ratio {found.deflated:.2f}; blocks above {most:g} while below "
        f"{least:g}"
    )
    return [ask.result(found.overfitting <= most or found.deflated >= least, text, found.overfitting, found.deflated)]


def champion(case: Case) -> list[RuleResult]:
    """Comparison: block when CORR is significantly worse than the champion's on the eras they share."""
    confidence = case.settings.champion_confidence
    if confidence is None:
        return []
    common, theirs, why = _common_eras(case)
    ask = Ask("champion", "comparison", 0.0, common, 1 - confidence)
    if why is not None:
        return [ask.not_judged(why)]
    found = paired_comparison(common.values, theirs.values, case.overlap, confidence)
    text = (
        f"{found.verdict} against the champion: mean difference of CORR {found.difference:+.4f}, "
        f"{confidence:.0%} bounds {found.interval.low:+.4f} and {found.interval.high:+.4f}, blocks when worse"
    )
    return [ask.result(found.verdict != "worse", text, found.difference, found.interval.high)]


def _certificate(case: Case, metric: str, threshold: float) -> RuleResult:
    over = case.era_scores(metric)
    ask = Ask(metric, "certificate", threshold, over)
    if (why := too_few(case, metric)) is not None:
        mean = float(np.mean(over.values)) if over.values else None
        return ask.result(False, f"no bound can be given, {why}", mean)
    confidence = case.settings.confidence
    benchmark, before = _history(case, over.eras) if metric in WITH_HISTORY else ((), ())
    certified = certificate(over.values, case.overlap, confidence, benchmark=benchmark, history=before)
    found = certified.interval
    text = (
        f"mean {metric.upper()} {found.mean:+.4f}, lower {confidence:.0%} bound {found.low:+.4f}, must lie above "
        f"{threshold:+.4f} (a mean above {threshold + found.mean - found.low:+.4f} would)"
    )
    if certified.history:
        text += (
            f", the bound with {certified.correction:+.4f} for the luck of these eras, told by {certified.history} "
            f"eras of the benchmark before them (correlation {certified.correlation:.2f})"
        )
    return ask.result(found.low > threshold, text, found.mean, found.low)


def uses_history(case: Case) -> bool:
    """Whether the benchmark's history goes into the bound of CORR."""
    over = case.era_scores("corr")
    benchmark, before = _history(case, over.eras) if over.eras else ((), ())
    found = certificate(over.values, case.overlap, case.settings.confidence, benchmark=benchmark, history=before)
    return found.history > 0


def _history(case: Case, own: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The benchmark's CORR in the judged eras and in those before them; none unless it covers all judged ones."""
    known = dict(zip(*case.history, strict=True))
    if not case.settings.benchmark_history or any(era not in known for era in own):
        return (), ()
    return tuple(known[era] for era in own), tuple(
        value for era, value in known.items() if era_number(era) < era_number(own[0])
    )


def _not_negative(case: Case, metric: str) -> RuleResult:
    over = case.era_scores(metric)
    confidence = case.settings.confidence
    ask = Ask(f"{metric}_not_negative", "alarm", 0.0, over, 1 - confidence)
    if (why := too_few(case, metric)) is not None:
        return ask.not_judged(why)
    found = ewc_interval(over.values, case.overlap, confidence)
    text = f"mean {metric.upper()} {found.mean:+.4f}, upper {confidence:.0%} bound {found.high:+.4f}, blocks below 0"
    return ask.result(found.high >= -NEGLIGIBLE, text, found.mean, found.high)


def _common_eras(case: Case) -> tuple[EraScores, EraScores, str | None]:
    """This ensemble's and the champion's CORR on the eras they share, and why they cannot be compared, if so."""
    if case.champion is None:
        return NO_ERAS, NO_ERAS, "there is no champion yet"
    if case.champion.target != case.scores.target:
        return NO_ERAS, NO_ERAS, f"the champion was judged on {case.champion.target}"
    eras, ours, theirs = on_common_eras(case.era_scores("corr"), case.champion.per_era.get("corr", NO_ERAS))
    pair = [EraScores(eras, tuple(values.tolist())) for values in (ours, theirs)]
    few = len(eras) < min_eras(case.overlap)
    return pair[0], pair[1], f"{len(eras)} eras in common, {needed(case)} needed" if few else None


RULES: tuple[Callable[[Case], list[RuleResult]], ...] = (
    models,
    predictions,
    feature_copy,
    feature_corr,
    lead,
    corr,
    bmc,
    mmc,
    payout,
    recent,
    drawdown,
    exposure,
    choices,
    champion,
)
"""Every rule, in the order in which a verdict lists them."""
