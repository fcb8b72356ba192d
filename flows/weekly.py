"""One tournament week: from raw data to a submission that the gate allowed.

eraflow run --profile sandbox           from the terminal
prefect deployment run weekly/weekly    through a worker; the settings are a form in the Prefect UI
"""

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from eraflow.numerai.client import Slot, Tournament
from eraflow.settings.run import RunSettings
from tasks.alert import tell_of_trouble
from tasks.backtest import backtest
from tasks.blend import blend, chosen_neutralisation
from tasks.champion import champion_scores, stand_in
from tasks.compress import compress
from tasks.contest import hold_contest, seated
from tasks.deliver import deliver
from tasks.drift import look_at_drift, previous_ensemble
from tasks.ensembles import (
    FurtherEnsemble,
    begin_ensembles,
    check_ensembles,
    make_ensembles,
    members_of,
    send_ensembles,
)
from tasks.features import build_features
from tasks.gate import JudgedEnsemble, decide, held, ours
from tasks.insurance import insured
from tasks.leaks import look_for_leaks
from tasks.livescores import fetch_live_scores
from tasks.offer import check_settings
from tasks.payout import paid
from tasks.refresh import live_file, refresh
from tasks.register import register, track
from tasks.round import round_ahead, wait_for_round
from tasks.run import Run, conclude, ended_before, open_run
from tasks.select import select
from tasks.submit import find_model, keep_for_later
from tasks.success import tell_of_success
from tasks.tournament import open_tournament
from tasks.train import train_all
from tasks.tuning import search_first

DEFAULTS = RunSettings()


@flow(
    name="weekly",
    flow_run_name="weekly",
    on_failure=[tell_of_trouble],
    on_crashed=[tell_of_trouble],
    on_completion=[tell_of_success],
    persist_result=False,
)
def weekly(settings: RunSettings = DEFAULTS) -> dict[str, Any] | State:
    """Fetch, train, blend, judge and submit; returns the run's record, or the state `Held` when the gate blocks.

    All that needs no live file is done before the round opens. A round that then pays otherwise than was told ahead
    costs another blend and backtest, and no training.
    """
    if (ended := ended_before(settings)) is not None:
        return ended
    with open_run(settings, "weekly") as run, open_tournament(run) as tournament:
        slot = find_model(run, tournament)
        fetch_live_scores(run, tournament, slot)
        run = seated(run, slot)
        further = begin_ensembles(run, tournament)
        check_settings(run, tournament)
        slots = [(run, slot), *((each.run, each.slot) for each in further if each.slot is not None)]
        with insured(run, tournament, slots):
            return _week(run, tournament, slot, further)


def _week(run: Run, tournament: Tournament, slot: Slot, further: Sequence[FurtherEnsemble]) -> dict[str, Any] | State:
    """The stages of a week, in order."""
    ahead = round_ahead(run, tournament)
    data = refresh(run, tournament, ahead)
    neutralisation = chosen_neutralisation(run, data)
    check_ensembles(further, data)
    features = build_features(run, data)
    payout = paid(run, ahead)
    search_first(run, features, payout)
    chosen = select(run, features)
    coded = compress(run, features)
    trained = train_all(run, features, chosen, coded)
    members = members_of(run.settings, trained)
    blended = blend(run, features, members, neutralisation, payout)
    backtested = backtest(run, data, features, members, blended, neutralisation, payout)
    made = make_ensembles(further, data, features, trained, payout)
    leaks = look_for_leaks(run, data, features)

    round_now = wait_for_round(run, tournament)
    if (payout_now := paid(run, round_now)) != payout:
        blended = blend(run, features, members, neutralisation, payout_now)
        backtested = backtest(run, data, features, members, blended, neutralisation, payout_now)
        made = make_ensembles(further, data, features, trained, payout_now)
    tracked = track(run, features, members, blended, backtested)
    last = champion_scores(run, features, slot)
    verdict = decide(run, features, members, blended, backtested, last, round_now, leaks)
    live = live_file(run, tournament, data, round_now)

    shipped, why_not = ours(blended, verdict), ""
    if not verdict.passed and run.settings.gate.on_block == "champion":
        shipped, why_not = stand_in(run, round_now, slot)
    send_ensembles(run, made, features, blended, verdict, tournament, round_now, live, leaks)
    hold_contest(run, slot, features, backtested, made, round_now)
    if shipped is None:
        ensemble, made_by = blended.path / "ensemble", verdict.ensemble_signature
        predicted = keep_for_later(run, slot, round_now, ensemble, made_by, live, verdict)
        if predicted:
            own = JudgedEnsemble(ensemble, made_by, verdict)
            look_at_drift(run, features, live, own, previous_ensemble(run, slot, made_by), tracked)
        return held(run, verdict, round_now, why_not, predicted=predicted)
    sent = deliver(run, tournament, slot, round_now, shipped, live)
    previous = previous_ensemble(run, slot, verdict.ensemble_signature)
    if verdict.passed and sent.state is not None:
        register(run, blended, backtested, tracked, verdict, round_now, slot)
    if verdict.passed:
        look_at_drift(run, features, live, shipped, previous, tracked)
    return conclude(run)
