"""Champion and challenger: which recipe the main slot ships, and the weekly look at the one that contests it.

A challenger is a further ensemble with `challenges=true`. Each week it is blended, judged and predicts beside the
week's own ensemble, and one look at the difference is added to those that the registry remembers. Once the rule is met,
the main slot ships the challenger's recipe from the next round on, and the former one contests it in its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.numerai.client import Slot
from eraflow.numerai.rounds import Round
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import CONTEST, RECIPE
from eraflow.scoring.backtest import BLEND, read_scores
from eraflow.scoring.contest import ContestDecision, Look, contest_decision, look_at, look_of
from eraflow.scoring.shadowrounds import keep_round, resolved_differences
from eraflow.scoring.statistics import overlap_weeks
from eraflow.settings.ensembles import FORMER, MAIN, EnsembleSettings
from eraflow.settings.run import RunSettings
from eraflow.tracking.registry import seats
from eraflow.tracking.seatrecipe import note_looks, promote_recipe, read_recipe
from tasks.alert import tell_people
from tasks.ensembles import MadeEnsemble
from tasks.features import Features
from tasks.pages.artifacts import show_contest
from tasks.register import seat_of, tracker
from tasks.run import Run
from tasks.runlog import run_log
from tasks.stage import LIGHT_TASK

FOLDER = "contests"
LIVE = Path("predict-live") / "predictions.parquet"
SHORT = 8


def seated(run: Run, slot: Slot) -> Run:
    """The run with the recipe that its main slot ships; what a run began with it goes on with, whatever is decided.

    A registry that cannot be read leaves the week's own recipe.
    """
    noted = read_object(run.path / RECIPE)
    name = str(noted["name"]) if noted is not None else _remembered(run, slot)
    asked = next((each for each in run.settings.ensembles if each.challenges and each.name == name), None)
    if name not in ("", MAIN) and asked is None:
        run_log().warning(
            "the recipe %s was promoted and is no challenger of the settings any more: %s it is", name, MAIN
        )
    write_json(run.path / RECIPE, {"name": MAIN if asked is None else asked.name})
    if asked is None:
        return run
    run_log().info("slot %s ships the recipe %s, which was promoted", slot.name or slot.id, asked.name)
    return Run(swapped(run.settings, asked), run.path)


def _remembered(run: Run, slot: Slot) -> str:
    challenged = any(each.challenges for each in run.settings.ensembles)
    if not run.settings.tracking.enabled or not challenged:
        return ""
    try:
        return read_recipe(tracker(run), seat_of(run, slot)).name
    except EraflowError as error:
        run_log().error("which recipe was promoted cannot be read, so it is the week's own: %s", error)
        return ""


def swapped(settings: RunSettings, asked: EnsembleSettings) -> RunSettings:
    """The settings with the challenger's recipe as the week's own; the former one challenges it, in its slot."""
    before = settings.blend
    former = EnsembleSettings(
        name=FORMER,
        models=before.models or [model.name for model in settings.models],
        slot=asked.slot,
        challenges=True,
        method=before.method,
        half_life=before.half_life,
        equal_share=before.equal_share,
        neutralise=before.neutralise,
        neutralise_features=before.neutralise_features,
    )
    others = [former if each.name == asked.name else each for each in settings.ensembles]
    return settings.model_copy(update={"blend": asked.blend(before), "ensembles": others})


@task(name="contest", task_run_name="contest", **LIGHT_TASK)
def hold_contest(
    run: Run,
    slot: Slot,
    features: Features,
    backtested: StageRecord,
    made: Sequence[MadeEnsemble],
    round_now: Round,
) -> ContestDecision | None:
    """This week's look at the challenger, remembered, and what it decides; None where nobody challenges.

    Whatever fails here is an error of the log: the week is not lost for it.
    """
    one = next((each for each in made if each.ensemble.asked.challenges), None)
    if one is None:
        return None
    if not run.settings.tracking.enabled:
        run_log().warning(
            "tracking is off, so nobody remembers the looks at the challenger %s", one.ensemble.asked.name
        )
        return None
    try:
        return _held(run, slot, features, backtested, one, round_now)
    except (EraflowError, KeyError) as error:
        run_log().error("the challenger %s was not looked at: %s", one.ensemble.asked.name, error)
        return None


def _held(
    run: Run, slot: Slot, features: Features, backtested: StageRecord, one: MadeEnsemble, round_now: Round
) -> ContestDecision:
    book, seat, rule = tracker(run), seat_of(run, slot), run.settings.contest
    recipe, own = read_recipe(book, seat), str((read_object(run.path / RECIPE) or {"name": MAIN})["name"])
    challenger = MAIN if one.ensemble.asked.name == FORMER else one.ensemble.asked.name
    key = _pair(run.settings, one.ensemble.run.settings)
    look = _look(run, features, backtested, one, round_now, key, run.settings.home_path / FOLDER / seat.key / key)
    earlier = [look_of(each) for each in recipe.looks if each["challenger"] == key]
    looks = [*(each for each in earlier if each.round_number < round_now.number), look]
    decision = contest_decision(looks, rule.margin, rule.weeks)
    if recipe.since_round > round_now.number:  # decided already, by an earlier attempt at this round
        decision = ContestDecision(False, f"from round {recipe.since_round} on the slot ships {recipe.name}")
    elif decision.promoted:
        version = next((number for each, number, _ in seats(book) if each == seat), 0)
        promote_recipe(book, seat, challenger, round_now.number + 1, version, decision.why)
        words = f"{challenger} takes the place of {own} from round {round_now.number + 1} on: {decision.why}"
        tell_people(run, f"Eraflow: the challenger {challenger} is promoted", words)
    else:
        note_looks(book, seat, recipe, [each.as_dict() for each in looks])
    verb = "is promoted" if decision.promoted else "is not promoted"
    told = {"champion": own, "challenger": challenger, "promoted": decision.promoted, "why": decision.why}
    write_json(run.path / CONTEST, {**told, "look": look.as_dict()})
    run_log().info("the challenger %s %s: %s", challenger, verb, decision.why)
    show_contest(told)
    return decision


def _look(
    run: Run,
    features: Features,
    backtested: StageRecord,
    one: MadeEnsemble,
    round_now: Round,
    key: str,
    shadows: Path,
) -> Look:
    live = [path / LIVE for path in (run.path, one.ensemble.run.path)]
    if all(path.is_file() for path in live):
        keep_round(shadows, round_now.number, *live)
    contract, rule = features.contract, run.settings.contest
    shadow = resolved_differences(
        shadows, round_now.number, EraStore.open(features.store), contract.resolved_eras, contract.target
    )
    judged = [read_scores(stage.path)[BLEND].per_era["corr"] for stage in (backtested, one.backtested)]
    verdict: dict[str, Any] = read_object(one.ensemble.run.path / "gate" / "verdict.json") or {}
    return look_at(
        round_now.number,
        key,
        verdict.get("passed") is True,
        (judged[0], judged[1]),
        shadow,
        overlap_weeks(contract.horizon_days),
        rule.confidence,
        rule.shadow_confidence,
    )


def _pair(own: RunSettings, other: RunSettings) -> str:
    """A name for the two recipes: looks at others say nothing of these."""
    recipes = [
        {
            "blend": {**each.blend.model_dump(mode="json"), "models": sorted(each.blended_models)},
            "members": {
                model.name: model.model_dump(mode="json") for model in each.models if model.name in each.blended_models
            },
        }
        for each in (own, other)
    ]
    return value_sha256(recipes)[: 2 * SHORT]
