"""Search parameters for every model that can be searched for, and compare them with the defaults; nothing is submitted.

eraflow search --profile sandbox           from the terminal
"""

from typing import Any

from prefect import flow

from eraflow.runs.searchrecord import write_search_outcome
from eraflow.settings.run import RunSettings
from tasks.alert import tell_of_trouble
from tasks.features import build_features
from tasks.offer import check_settings
from tasks.payout import paid
from tasks.refresh import refresh
from tasks.round import round_ahead
from tasks.run import ended_before, open_run
from tasks.search import search_all
from tasks.tournament import open_tournament

DEFAULTS = RunSettings()


@flow(
    name="research",
    flow_run_name="search",
    on_failure=[tell_of_trouble],
    on_crashed=[tell_of_trouble],
    persist_result=False,
)
def research(settings: RunSettings = DEFAULTS) -> dict[str, Any]:
    """Fetch, lay out, search; returns the run's record. What is found serves the models whose `tuned` is set."""
    if (ended := ended_before(settings)) is not None:
        return ended
    with open_run(settings, "research") as run, open_tournament(run, sends=False) as tournament:
        check_settings(run, tournament)
        ahead = round_ahead(run, tournament)
        data = refresh(run, tournament, ahead)
        features = build_features(run, data)
        search_all(run, features, paid(run, ahead))
        return write_search_outcome(run.path)
