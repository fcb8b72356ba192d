"""One slot, one route: a slot that runs an uploaded model takes no predictions, and one that takes them no model."""

from __future__ import annotations

from typing import Any

from eraflow.numerai.answers import question
from eraflow.numerai.errors import ApiRefusedError, OddAnswerError
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.pickleanswers import RoutedRow
from eraflow.numerai.pickleerrors import SlotHoldsPickleError, SlotSentPredictionsError
from eraflow.numerai.pickles import active_pickle, pickles_of
from eraflow.numerai.submission_state import REJECTED_STATES

_SUBMISSIONS = """query($modelId: String) { submissions(modelId: $modelId) {
    id filename status insertedAt triggerId round { number } } }"""
TAKE_IT_AWAY = (
    "upload a model there (--set submit.as=pickle), choose another slot (--set submit.model=NAME), or take its model "
    "away: `eraflow upload --unassign`"
)


def check_takes_predictions(graphql: GraphQLClient, model_id: str, name: str) -> None:
    """Whether predictions may be sent to a slot; asked before any work, because Numerai refuses them at the end.

    What the API does not tell is no reason to stop: then its own refusal does.

    Raises:
        SlotHoldsPickleError: it runs an uploaded model.
    """
    try:
        held = active_pickle(graphql, model_id)
    except (ApiRefusedError, OddAnswerError) as error:
        graphql.policy.log(f"whether the slot runs an uploaded model is not known: {error.problem}")
        return
    if held is not None:
        raise SlotHoldsPickleError(
            f"the slot {name} runs an uploaded model ({held.filename[:80] or held.id}), and takes no predictions",
            TAKE_IT_AWAY,
        )


def check_takes_model(graphql: GraphQLClient, model_id: str, round_number: int) -> None:
    """Whether a model may be uploaded to a slot in this round.

    Raises:
        SlotSentPredictionsError: predictions that no uploaded model made are filed for it in this round.
    """
    asked = question(_SUBMISSIONS, "submissions", list[RoutedRow | None] | None, {"modelId": model_id}, key=True)
    rows: list[RoutedRow | None] = graphql.ask("reading the submissions", asked, needs_key=True) or []
    filed = [row for row in rows if row is not None and _counts(row, round_number) and row.trigger_id is None]
    if not filed:
        return
    made: set[Any] = {run.submission_id for state in pickles_of(graphql, model_id) for run in state.triggers}
    row = next((row for row in filed if row.id not in made), None)
    if row is not None:
        raise SlotSentPredictionsError(
            f"predictions are filed for this slot and round {round_number} ({row.id}, {row.filename or 'no name'})",
            "upload the model to another slot (--set submit.model=NAME), or wait for the next round; "
            "--set submit.replace=true uploads it all the same: its predictions then count, as the newest",
        )


def _counts(row: RoutedRow, round_number: int) -> bool:
    number = row.round.number if row.round is not None else None
    return number == round_number and (row.status or "").lower() not in REJECTED_STATES
