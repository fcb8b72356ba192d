"""The rules against what is too good to be true: a feature that holds the answer, and a score beyond belief."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eraflow.gate.case import Ask, Case, needed, on_common_eras
from eraflow.gate.verdict import RuleResult
from eraflow.scoring.scoring import NO_ERAS, EraScores
from eraflow.scoring.statistics import ewc_interval, min_eras

MOST_ERA_CORR = 0.8
"""Correlation of one feature with the target in one era. Numerai's eras have thousands of rows; of 400 real equities
the largest of 660,000 was .64 (`python -m benchmarks leaks`)."""
BEYOND = 1.5
"""A feature may in any case go with a target half as strongly again as the feature that a tenth of all exceed: where
many are strong, as in a sandbox with a large `signal`, a strong one is no leak. A leak stands alone."""
COPY_ERROR = 0.002
"""Chance of a week in which a feature without a copy exceeds the standard normal score of seven that a copy must have:
see `eraflow.discovery.leakstage.LEAST_SCORE`."""
NAMED = 5
NOT_LOOKED = "nobody looked for leaks in this run"


def feature_corr(case: Case) -> list[RuleResult]:
    """Cap on the correlation of any single feature with a target within eras, by its calibrated bound."""
    cap = case.settings.max_feature_corr
    if cap is None:
        return []
    ask = Ask("feature_corr", "cap", cap, NO_ERAS)

    def suspicious(found: Mapping[str, Any], strong: float) -> str | None:
        if found["bound"] > max(cap, BEYOND * strong):
            return f"goes with it by {found['corr']:+.3f} on average, certainly by more than {found['bound']:.3f}"
        if found["era_corr"] > MOST_ERA_CORR:
            return f"goes with it by {found['era_corr']:.2f} in era {found['corr_era']}"
        return None

    return [_of_features(case, ask, "bound", suspicious, "a mean correlation of certainly more than")]


def feature_copy(case: Case) -> list[RuleResult]:
    """Alarm when a feature holds values that were copied from a target into part of the rows."""
    cap = case.settings.max_copy
    if cap is None:
        return []
    ask = Ask("feature_copy", "alarm", cap, NO_ERAS, COPY_ERROR)

    def suspicious(found: Mapping[str, Any], _: float) -> str | None:
        if found["copy"] <= cap:
            return None
        return f"holds it as if copied in about {found['copy']:.0%} of the rows of {found['copy_eras']}"

    return [_of_features(case, ask, "copy", suspicious, "a copy beyond chance in more than a share of the rows of")]


def _of_features(
    case: Case, ask: Ask, figure: str, suspicious: Callable[[Mapping[str, Any], float], str | None], allowed: str
) -> RuleResult:
    if case.leaks is None:
        return ask.not_judged(NOT_LOOKED)
    rows = [
        (target, found, told.get("strong", 0.0))
        for target, told in case.leaks["targets"].items()
        for found in told["features"]
    ]
    if not rows:
        return ask.not_judged("no target is known in enough rows of an era")
    largest = max(found[figure] for _, found, _ in rows)
    guilty = [
        (target, found, said) for target, found, strong in rows if (said := suspicious(found, strong)) is not None
    ]
    if guilty:
        names = list(dict.fromkeys(found["feature"] for _, found, _ in guilty))
        told = "; ".join(f"{found['feature']} and {target}: {said}" for target, found, said in _worst(guilty))
        more = f"; and {len(names) - NAMED} more features" if len(names) > NAMED else ""
        return ask.result(False, f"{_counted(names)} the answer away: {told}{more}", largest)
    text = f"none of {case.leaks['features']} features has {allowed} {ask.threshold:g} with any target"
    return ask.result(True, text, largest)


def _counted(names: Sequence[str]) -> str:
    return "one feature gives" if len(names) == 1 else f"{len(names)} features give"


def _worst(guilty: list[tuple[str, Mapping[str, Any], str]]) -> list[tuple[str, Mapping[str, Any], str]]:
    """The first finding of each of the first features; a feature that is guilty for several targets is told once."""
    first: dict[str, tuple[str, Mapping[str, Any], str]] = {}
    for each in sorted(guilty, key=lambda one: -(one[1]["copy"] + one[1]["bound"])):
        first.setdefault(each[1]["feature"], each)
    return list(first.values())[:NAMED]


def lead(case: Case) -> list[RuleResult]:
    """Cap on how far CORR lies above the benchmark's, by the calibrated lower bound of the difference."""
    cap = case.settings.max_lead
    if cap is None:
        return []
    if case.benchmark is None:
        return [Ask("lead", "cap", cap, NO_ERAS).not_judged("there is no benchmark")]
    eras, own, theirs = on_common_eras(case.era_scores("corr"), case.benchmark.per_era.get("corr", NO_ERAS))
    ask = Ask("lead", "cap", cap, EraScores(eras, tuple((own - theirs).tolist())))
    if len(eras) < min_eras(case.overlap):
        return [ask.not_judged(f"the benchmark covers {len(eras)} judged eras, {needed(case)} needed")]
    found = ewc_interval(own - theirs, case.overlap, case.settings.confidence)
    most = max(cap, float(np.mean(theirs)))
    text = (
        f"mean CORR {found.mean:+.4f} above the benchmark's {float(np.mean(theirs)):+.4f}, lower "
        f"{case.settings.confidence:.0%} bound {found.low:+.4f}, at most {most:.4f} is believed{_strongest(case)}"
    )
    return [ask.result(found.low <= most, text, found.mean, found.low)]


def _strongest(case: Case) -> str:
    """The features that go most with the run's own target, by name."""
    told = (case.leaks or {"targets": {}})["targets"].get(case.scores.target, {"features": []})["features"]
    found = sorted(told, key=lambda each: -abs(each["corr"]))[:NAMED]
    named = ", ".join(f"{each['feature']} {each['corr']:+.3f}" for each in found)
    return f" (the features that go most with the target: {named})" if named else ""
