"""An uploaded model is followed: until it is validated, assigned to its slot, and has run for the round.

Nothing here is done twice: a slot that holds the model is not assigned again, and a model that has a run of this round
is not triggered again unless that run failed. Waiting is bounded, and ends in a named error that says how to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from eraflow.numerai.errors import ApiRefusedError, TournamentError
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.pickleerrors import (
    PickleNotAssignedError,
    PickleNotReadyError,
    PickleRejectedError,
    PickleRunFailedError,
)
from eraflow.numerai.pickles import (
    PickleState,
    Trigger,
    active_pickle,
    assign,
    by_id,
    done,
    end_of,
    failed,
    log_of,
    trigger_question,
)

T = TypeVar("T")
Show = Callable[[str, str, str], None]
"""Takes each change of a state: what (`validation`, `run`), its word, what is said of it."""

_FIRST_LOOK_SECONDS = 0.3
_LONGEST_LOOK_SECONDS = 15.0
_AGAIN = "run again later: the upload is recognised and gone on with; or look at it on the website"


@dataclass
class Follower:
    """One uploaded model of one slot, followed.

    Attributes:
        graphql: the way to the API.
        model_id: the slot.
        pickle_id: the upload.
        seconds: the longest wait for its validation, and again for its run.
        show: is told each change of a state, once.
    """

    graphql: GraphQLClient
    model_id: str
    pickle_id: str
    seconds: float
    show: Show

    def __post_init__(self) -> None:
        self._shown: set[tuple[str, str, str]] = set()
        self._last = "its state is not known"

    def validated(self) -> PickleState:
        """Wait until the tournament has validated it.

        Raises:
            PickleRejectedError: it was found faulty; with the end of its log.
            PickleNotReadyError: no decision in time.
        """
        return self._until("validate the model", self._is_validated)

    def assigned(self) -> None:
        """Let the slot run it, and read back that it does.

        Raises:
            PickleNotAssignedError: the slot runs another one, or none.
        """
        if not self._is_active():
            try:
                assign(self.graphql, self.model_id, self.pickle_id)
            except ApiRefusedError:
                if not self._is_active():
                    raise
            if not self._is_active():
                raise PickleNotAssignedError(
                    f"upload {self.pickle_id} was validated and assigned, but the slot does not run it", _AGAIN
                )
        self._tell("slot", "assigned", self.pickle_id)

    def run_in_round(self, opened: datetime) -> Trigger:
        """Its run for the round that opened then: found or triggered, and waited for.

        Raises:
            PickleRunFailedError: it failed; with the end of its log.
            PickleNotReadyError: it has not ended in time.
        """
        earlier = self._state().run_since(opened)
        if earlier is not None and failed(earlier.status):
            self._tell("run", earlier.status, end_of(self._log(earlier)))
            self._trigger(opened, earlier)
        elif earlier is None:
            self._trigger(opened, None)
        known = earlier.id if earlier is not None and failed(earlier.status) else None
        return self._until("run the model", lambda state: self._has_run(state, opened, known))

    def _is_validated(self, state: PickleState) -> PickleState | None:
        self._tell("validation", state.validation, "")
        if failed(state.validation):
            said = end_of([line for run in state.triggers[:1] for line in self._log(run)])
            self._tell("validation", state.validation, said)
            raise PickleRejectedError(
                f"upload {state.id} ended as {state.validation}: {said or 'no log was given'}",
                "`eraflow rehearse` runs it under the same versions and limits; the slot keeps what it ran before",
            )
        return state if done(state.validation) else None

    def _has_run(self, state: PickleState, opened: datetime, not_this: str | None) -> Trigger | None:
        run = state.run_since(opened)
        if run is None or run.id == not_this:
            return None
        self._tell("run", run.status, run.steps[-1][1] if run.steps else "")
        if failed(run.status):
            lines = self._log(run)
            for line in lines:
                self.graphql.policy.log(f"log of the run: {line}")
            raise PickleRunFailedError(
                f"the run {run.id} of upload {state.id} ended as {run.status}: {end_of(lines) or 'no log was given'}",
                "run again to trigger it once more; `eraflow upload --restore` brings the model before it back",
            )
        return run if done(run.status) else None

    def _trigger(self, opened: datetime, earlier: Trigger | None) -> None:
        """Ask for a run; when the answer is lost it is looked for before it is asked again."""
        what, asked = "triggering the model", trigger_question(self.model_id, self.pickle_id)

        def arrived(_: TournamentError) -> Trigger | None:
            found = self._state().run_since(opened)
            return None if found is not None and earlier is not None and found.id == earlier.id else found

        self.graphql.policy.once(what, partial(self.graphql.ask_once, what, asked, needs_key=True), arrived)

    def _state(self) -> PickleState:
        what = "reading the state of the model"
        state: PickleState | None = self.graphql.ask(what, by_id(self.pickle_id), needs_key=True)
        if state is None:
            raise PickleNotAssignedError(f"upload {self.pickle_id} is not there any more", "upload the model again")
        return state

    def _is_active(self) -> bool:
        held = active_pickle(self.graphql, self.model_id)
        return held is not None and held.id == self.pickle_id

    def _until(self, what: str, look: Callable[[PickleState], T | None]) -> T:
        """Look until `look` has an answer. A passing error must not end the wait."""
        policy = self.graphql.policy
        until, pause = policy.clock() + self.seconds, _FIRST_LOOK_SECONDS
        while True:
            last = ""
            try:
                state: PickleState | None = self.graphql.ask_once(
                    "reading the state of the model", by_id(self.pickle_id), needs_key=True
                )
                found = None if state is None else look(state)
                if found is not None:
                    return found
            except TournamentError as error:
                if not (error.passing or isinstance(error, ApiRefusedError)):
                    raise
                last = f" (last look: {error.problem})"
                policy.log(f"{error.problem}; looking again")
            left = until - policy.clock()
            if left <= 0:
                raise PickleNotReadyError(
                    f"Numerai did not {what} within {self.seconds:g} s: upload {self.pickle_id}, {self._last}{last}",
                    _AGAIN,
                )
            policy.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)

    def _log(self, run: Trigger) -> list[str]:
        """The log of a run; that it cannot be read must not hide what it is about."""
        try:
            return log_of(self.graphql, run)
        except TournamentError as error:
            return [f"the log cannot be read: {error.problem}", *(f"{word}: {text}" for word, text in run.steps)]

    def _tell(self, what: str, word: str, said: str) -> None:
        self._last = f"{what} {word}"
        if (what, word, said) not in self._shown:
            self._shown.add((what, word, said))
            self.show(what, word, said)
