"""Numerai's diagnostics of an uploaded model, held against our own backtest of it."""

from __future__ import annotations

from dataclasses import asdict

from prefect.runtime import flow_run

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.pickles import PickleState
from eraflow.numerai.uploadstore import KeptModel
from eraflow.scoring.againstdiagnostics import Agreement, agreement
from tasks.alert import tell_people
from tasks.backtestnote import NOTE, read_backtest_note
from tasks.run import Run
from tasks.runlog import run_log

FOUND = "diagnostics.json"
DISAGREE = "the backtest and Numerai disagree"


def compare_diagnostics(run: Run, tournament: Tournament, slot: Slot, kept: KeptModel, state: PickleState) -> None:
    """Fetch the diagnostics, compare, and tell once where they differ by more than their noise.

    Nothing of this costs the week: the model is delivered.
    """
    try:
        found = tournament.diagnostics(slot.id, state, run.settings.submit.diagnostics_minutes * 60)
    except TournamentError as error:
        run_log().warning("the diagnostics cannot be read: %s", error)
        return
    if found is None or not (found.is_done or found.is_failed):
        run_log().info("the diagnostics are not there yet; `eraflow daily` looks again")
        return
    if (read_object(kept.path / FOUND) or {}).get("id") == found.id:
        return
    note = read_backtest_note(kept.path / NOTE)
    if found.is_failed:
        judged = Agreement(None, f"the diagnostics ended as {found.status}: {found.message or 'no reason given'}")
    elif note is None:
        judged = Agreement(None, "no backtest of this model is kept here")
    else:
        own, days, origin = note
        seen = found.trained_on_validation
        judged = agreement(own, days, origin, found.eras, found.mean, trained_on_validation=seen)
    write_json(kept.path / FOUND, {**asdict(found), "eras": dict(found.eras), "agreement": judged.as_dict()})
    if judged.agrees is not False:
        run_log().info("diagnostics: %s", judged.text)
        return
    told = f"{judged.text}; the model that runs there is not the one that was judged, or is given other data"
    run_log().error("%s: %s", DISAGREE, told)
    if flow_run.get_id() is not None:
        tell_people(run, f"Eraflow: {DISAGREE}", f"{told}\nmodel {kept.path}\nslot {slot.name}")
