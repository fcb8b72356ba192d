"""The rounds between two weeks: the champion predicts the new live data and submits, or Numerai runs its model.

prefect deployment run daily/daily
"""

from typing import Any

from prefect import flow

from eraflow.settings.run import RunSettings
from tasks.alert import tell_of_trouble
from tasks.champion import fetch_champion
from tasks.contest import seated
from tasks.deliver import deliver
from tasks.ensembles import insure_ensembles, send_champions
from tasks.followmodel import follow_model
from tasks.insurance import send_where_nothing_is_filed, wait_until_due
from tasks.livescores import fetch_live_scores
from tasks.offer import check_settings
from tasks.refresh import refresh_live
from tasks.round import wait_for_round
from tasks.run import conclude, ended_before, open_run
from tasks.submit import find_model
from tasks.success import tell_of_success
from tasks.tournament import open_tournament

DEFAULTS = RunSettings()


@flow(
    name="daily",
    flow_run_name="daily",
    on_failure=[tell_of_trouble],
    on_crashed=[tell_of_trouble],
    on_completion=[tell_of_success],
    persist_result=False,
)
def daily(settings: RunSettings = DEFAULTS) -> dict[str, Any]:
    """Fetch the live data, predict with the champion, submit; returns the run's record."""
    if (ended := ended_before(settings)) is not None:
        return ended
    with open_run(settings, "daily", trains=False) as run, open_tournament(run) as tournament:
        slot = find_model(run, tournament)
        fetch_live_scores(run, tournament, slot)
        check_settings(run, tournament, trains=False)
        round_now = wait_for_round(run, tournament)
        if run.settings.round.only_insure:
            wait_until_due(run, tournament, round_now)
            insure_ensembles(run, tournament, round_now)
            send_where_nothing_is_filed(run, tournament, slot, round_now)
            return conclude(run)
        run = seated(run, slot)
        if run.settings.submit.sends_model:
            send_champions(run, tournament, round_now, None)
            follow_model(run, tournament, slot, round_now)
            return conclude(run)
        champion = fetch_champion(run, round_now, slot)
        live = refresh_live(run, tournament, round_now)
        send_champions(run, tournament, round_now, live)
        deliver(run, tournament, slot, round_now, champion, live)
        return conclude(run)
