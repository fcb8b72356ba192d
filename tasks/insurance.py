"""The insurance of a week: what has sent nothing shortly before its round closes is represented by the champion.

While a week is at work a thread looks at the clock of the tournament. A week that died, or was held long before, has no
thread any more: for it `eraflow daily --set round.only_insure=true` does the same, on a schedule of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta

from prefect import get_run_logger

from eraflow.disk.atomic import write_json
from eraflow.errors import EraflowError
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.rounds import Round
from eraflow.numerai.submission_state import SubmissionState
from eraflow.runs.insurance import FOLDER, note_insurance
from eraflow.runs.weekrecord import NOT_NEEDED
from eraflow.settings.run import RunSettings
from tasks.alert import tell_people
from tasks.champion import NoChampionError, fetch_champion
from tasks.deliver import deliver
from tasks.refresh import refresh_live
from tasks.run import Run
from tasks.submit import Submission
from tasks.tournament import source_key

MOST_SECONDS_BETWEEN_LOOKS = 300.0
"""A round may be closed earlier than it was announced."""


def is_insured(settings: RunSettings) -> bool:
    """Whether there is anything to insure a week with, and anything that is sent.

    A slot that runs an uploaded model needs no insurance: it runs the model before until there is another.
    """
    sends = not settings.submit.dry_run and not settings.submit.sends_model
    return settings.round.insurance_minutes is not None and settings.tracking.enabled and sends


def seconds_until_due(run: Run, tournament: Tournament, round_now: Round) -> float:
    """Seconds until the insurance of an open round is sent; below 0 afterwards."""
    minutes = run.settings.round.insurance_minutes or 0.0
    return (round_now.close_time - timedelta(minutes=minutes) - tournament.now()).total_seconds()


@contextmanager
def insured(run: Run, tournament: Tournament, slots: Sequence[tuple[Run, Slot]]) -> Iterator[None]:
    """While the block works, see that the champion's prediction is sent in time where nothing else was.

    Args:
        run, tournament: of the week.
        slots: each slot that the week sends to, with the run that makes what goes there.
    """
    if not is_insured(run.settings):
        yield
        return
    watch = _Watch(run, tournament, slots)
    context = copy_context()  # the tasks of the insurance belong to the flow's run
    thread = threading.Thread(target=context.run, args=(watch.look_until_done,), name="insurance", daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        watch.end(thread)
        raise
    except BaseException:  # whoever ends a run by hand does not mean it to send anything
        watch.done.set()
        thread.join()
        raise
    watch.end(thread)


@dataclass
class _Watch:
    """What the thread does."""

    run: Run
    tournament: Tournament
    slots: Sequence[tuple[Run, Slot]]
    done: threading.Event = field(default_factory=threading.Event)
    settled: set[int] = field(default_factory=set)

    def look_until_done(self) -> None:
        wait = 0.0
        while not self.done.wait(wait):
            wait = self._look()

    def end(self, thread: threading.Thread) -> None:
        """End the thread, and look once more: a week that failed or is held late is not done in time either."""
        self.done.set()
        thread.join()  # what is being sent is finished, and written down
        self._look()

    def _look(self) -> float:
        """Send what is due; seconds until the next look."""
        try:
            found = self.tournament.current_round()
        except TournamentError as error:
            get_run_logger().info("the insurance could not look at the round: %s", error.problem)
            found = None
        if found is None or not found.is_open or found.number in self.settled:
            return self.run.settings.round.poll_seconds
        left = seconds_until_due(self.run, self.tournament, found)
        if left > 0:
            return min(left, MOST_SECONDS_BETWEEN_LOOKS)
        self.settled.add(found.number)
        for run, slot in self.slots:
            insure(run, self.tournament, slot, found)
        return self.run.settings.round.poll_seconds


def insure(run: Run, tournament: Tournament, slot: Slot, round_now: Round) -> Submission | None:
    """Send the champion's prediction unless something is filed already; a failure is told, and ends nothing else."""
    log = get_run_logger()
    try:
        if _filed(tournament, slot, round_now) is not None:
            return None
        named = f" for slot {slot.name}" if slot.name else ""
        log.warning("round %s closes at %s and nothing is filed yet%s", round_now.number, round_now.close_time, named)
        sent = send_champion(Run(run.settings, run.path / FOLDER), tournament, slot, round_now)
    except NoChampionError as error:
        log.warning("nothing can be sent in place of this week: %s", error)
        return None
    except EraflowError as error:
        log.error("the champion's prediction could not be sent in place of this week's: %s", error)
        tell_people(run, f"Eraflow: round {round_now.number} is not insured", str(error))
        return None
    if sent.state is not None:
        told = f"the champion's prediction was sent in place of this week's: submission {sent.state.id}"
        log.warning("%s; it is replaced when this week's own passes in time", told)
        tell_people(run, f"Eraflow: round {round_now.number} closes, and the week is not done", told)
    return sent


def send_champion(run: Run, tournament: Tournament, slot: Slot, round_now: Round) -> Submission:
    """Predict the live era with the champion, send that, and note that the week's own may replace it."""
    run.path.mkdir(parents=True, exist_ok=True)
    champion = fetch_champion(run, round_now, slot)
    live = refresh_live(run, tournament, round_now)
    sent = deliver(run, tournament, slot, round_now, champion, live)
    if sent.state is not None:
        home, source = run.settings.home_path, source_key(run.settings)
        note_insurance(home, source, slot.id, round_now.number, sent.state.id)
    return sent


def wait_until_due(run: Run, tournament: Tournament, round_now: Round) -> None:
    """Wait for the time of the insurance."""
    pause = threading.Event()
    while (left := seconds_until_due(run, tournament, round_now)) > 0:
        get_run_logger().info("round %s: looking again in %.0f min", round_now.number, left / 60)
        pause.wait(min(left, MOST_SECONDS_BETWEEN_LOOKS))


def send_where_nothing_is_filed(run: Run, tournament: Tournament, slot: Slot, round_now: Round) -> None:
    """Send the champion's prediction to a slot, or note what is filed there already."""
    filed = _filed(tournament, slot, round_now)
    if filed is None:
        send_champion(run, tournament, slot, round_now)
    else:
        write_json(run.path / NOT_NEEDED, {"round": round_now.number, "filed": filed.as_dict()})


def _filed(tournament: Tournament, slot: Slot, round_now: Round) -> SubmissionState | None:
    """What is filed for the slot already, which is said in the log."""
    filed = tournament.filed(slot.id, round_now)
    if filed is not None:
        get_run_logger().info("round %s: %s is filed, so no insurance is needed", round_now.number, filed.id)
    return filed
