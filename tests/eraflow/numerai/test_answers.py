"""Whatever the API answers: it is understood as meant, or it ends in an error that names the question and the field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numerapi import utils as numerapi_utils

from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import NotConfirmedError, OddAnswerError, TournamentError
from eraflow.numerai.graphql import Endpoint
from tests.eraflow.numerai.stubserver import PUBLIC, SECRET, FakeTime, round_row

NOW = datetime(2026, 11, 21, 13, tzinfo=UTC)
CSV = b"id,prediction\nn1,0.2500000000\nn2,0.7500000000\n"
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def answers() -> dict[str, Any]:
    """A good answer of every call: operation -> its data."""
    row = {"id": "sub-1", "filename": "eraflow-1404-x.csv", "status": "success", "errorInfo": None, "selected": True,
           "insertedAt": "2026-11-21T12:30:00.123Z", "round": {"number": 1404}}  # fmt: skip
    opened = round_row(1404)
    opened |= {"openTime": (NOW - timedelta(hours=1)).isoformat(), "closeStakingTime": "2026-11-21T15:00:00Z"}
    return {
        "rounds": [opened],
        "account": {"models": [{"id": "model-1", "name": "alpha", "tournament": 8}]},
        "listDatasets": ["v5.3/live.parquet"],
        "dataset": "http://127.0.0.1:9/none",
        "submissions": [row],
        "submission_upload_auth": {"filename": "stored.csv", "url": "http://127.0.0.1:9/none"},
        "create_submission": {"id": "sub-1"},
        "submissionDownloadAuth": {"filename": "stored.csv", "url": "http://127.0.0.1:9/none"},
    }


class Told:
    """What the API says, without a server: takes the place of numerapi's POST."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.say: Callable[[str], Any] = lambda operation: {"data": {operation: answers()[operation]}}
        monkeypatch.setattr(numerapi_utils, "post_with_err_handling", self._post)

    def _post(self, url: str, body: dict[str, Any], headers: dict[str, str], **_: Any) -> Any:
        named = [name for name in answers() if f"{name}(" in body["query"] or f"{name} {{" in body["query"]]
        said = self.say(named[0])
        return json.loads(json.dumps(said))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def client() -> Tournament:
    time = FakeTime()
    return Tournament(
        Endpoint("http://127.0.0.1:9", PUBLIC, SECRET), attempts=2, sleep=time.sleep, clock=time.clock, now=lambda: NOW
    )


CALLS: dict[str, Callable[[Tournament], Any]] = {
    "rounds": lambda asked: asked.current_round(),
    "account": lambda asked: asked.models(),
    "listDatasets": lambda asked: asked.list_files(),
    "submissions": lambda asked: asked.submissions("model-1"),
}


def failure(work: Callable[[], Any]) -> TournamentError | None:
    """The named error that the work ends in, if it does; any other exception is the test's failure."""
    try:
        work()
    except TournamentError as error:
        return error
    return None


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], odd: Any, *, drop: bool = False) -> Any:
    """`value` with `odd` at a place, or with nothing there."""
    if not path:
        return odd
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = odd
    return value


@pytest.mark.parametrize("call", CALLS)
@FEW
@given(data=st.data())
def test_an_odd_answer_is_understood_or_named(told: Told, call: str, data: st.DataObject) -> None:
    good = {"data": {call: answers()[call]}, "extensions": {"cost": 1}}
    path = data.draw(st.sampled_from(places(good)))
    said = changed(good, path, data.draw(ODD), drop=bool(path) and data.draw(st.booleans()))
    told.say = lambda operation: said
    error = failure(lambda: CALLS[call](client()))
    assert error is None or error.code in ("odd_answer", "api_refused", "wrong_key")
    assert error is None or ("\n" not in error.problem and len(error.problem) < 500)


@pytest.mark.parametrize("call", ["dataset", "submission_upload_auth"])
@FEW
@given(data=st.data())
def test_an_odd_address_is_named_before_anything_goes_there(
    told: Told, call: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "odd.csv").write_bytes(CSV)
    good = {"data": {call: answers()[call]}}
    said = changed(good, data.draw(st.sampled_from(places(good))), data.draw(ODD))
    told.say = lambda operation: (
        said if operation == call else {"data": {operation: [] if operation == "submissions" else answers()[operation]}}
    )
    work = {
        "dataset": lambda: client().download("v5.3/live.parquet", folder / "odd" / "live.parquet", lambda path: None),
        "submission_upload_auth": lambda: client().submit(folder / "odd.csv", "model-1", 1404, 5),
    }
    error = failure(work[call])
    assert error is not None  # nobody answers at the address
    assert error.code in ("odd_answer", "api_refused", "server_down", "no_such_file")
    assert not error.may_have_arrived


@FEW
@given(data=st.data())
def test_after_a_registration_no_odd_answer_makes_it_not_sent(
    told: Told, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registration arrived: the outcome is accepted, or that it is not known; never that nothing was sent."""
    from eraflow.numerai import upload

    monkeypatch.setattr(upload, "_uploaded", lambda *_: "stored.csv")
    csv = tmp_path_factory.getbasetemp() / "submission.csv"
    csv.write_bytes(CSV)
    call = data.draw(st.sampled_from(["create_submission", "submissions", "submissionDownloadAuth"]))
    good = {"data": {call: answers()[call]}}
    path = data.draw(st.sampled_from(places(good)))
    said = changed(good, path, data.draw(ODD))
    filed: list[str] = []

    def say(operation: str) -> Any:
        if operation == "create_submission":
            filed.append(operation)
        if operation == call and filed:
            return said
        return {"data": {operation: [] if operation == "submissions" and not filed else answers()[operation]}}

    told.say = say
    error = failure(lambda: client().submit(csv, "model-1", 1404, 5))
    told_so = ("submission_rejected", "upload_lost", "round_closed")  # by the odd value
    assert error is None or error.may_have_arrived or error.code in told_so


@pytest.mark.parametrize(
    ("call", "path", "odd", "says"),
    [
        ("rounds", (0, "openTime"), 1763726400, "rounds.0.openTime is 1763726400 (Value error, a time in ISO 8601"),
        ("rounds", (0, "number"), True, "rounds.0.number is true"),
        ("rounds", (0, "closeStakingTime"), "0001-01-01T00:00:00+23:00", "a time within the calendar"),
        ("rounds", (0, "roundScoreConfigs", 1, "defaultMultiplier"), float("nan"), "defaultMultiplier is nan"),
        ("account", ("models", 0, "id"), None, "account.models.0.id is null"),
        ("account", ("models",), {}, "account.models is an object of 0"),
        ("listDatasets", (0,), ["a"], "listDatasets.0 is a list of 1"),
        ("listDatasets", (), None, "listDatasets is null"),
    ],
)
def test_the_error_names_the_question_the_field_and_what_it_was(
    told: Told, call: str, path: tuple[Any, ...], odd: Any, says: str
) -> None:
    told.say = lambda operation: {"data": {operation: changed(answers()[operation], path, odd)}}
    with pytest.raises(OddAnswerError) as caught:
        CALLS[call](client())
    assert says in caught.value.problem


def test_an_address_in_an_odd_answer_is_not_shown(told: Told) -> None:
    told.say = lambda operation: {"data": {operation: "https://host/x?X-Amz-Signature=sig-secret"}}
    with pytest.raises(OddAnswerError) as caught:
        client().models()
    assert "sig-secret" not in str(caught.value)


@pytest.mark.parametrize("said", [[], [["errors"]], "text", 7, ["errors"], {"errors": 5}, {"errors": [[1]]}, None])
def test_what_is_no_answer_at_all_is_named(told: Told, said: Any) -> None:
    told.say = lambda operation: said
    with pytest.raises(TournamentError, match="listing the models"):
        client().models()


def test_a_round_that_stays_odd_is_not_waited_for_all_day(told: Told) -> None:
    told.say = lambda operation: {"data": {"rounds": [{"number": "next"}]}}
    with pytest.raises(OddAnswerError, match=r"rounds\.0\.number"):
        client().wait_for_round(86_400, 60)


def test_an_odd_row_of_another_round_hides_nothing_and_one_of_this_round_stops_before_anything_is_sent(
    told: Told, tmp_path: Any
) -> None:
    csv = tmp_path / "submission.csv"
    csv.write_bytes(CSV)
    row = {**answers()["submissions"][0], "insertedAt": 5}
    for number, stopped in ((1403, False), (1404, True)):
        odd = {**row, "round": {"number": number}}
        told.say = lambda operation, odd=odd: {
            "data": {operation: [*answers()[operation], odd] if operation == "submissions" else answers()[operation]}
        }
        if stopped:
            with pytest.raises(OddAnswerError, match=r"submissions\.1\.insertedAt is 5"):
                client().submit(csv, "model-1", 1404, 5)
        else:
            assert client().submit(csv, "model-1", 1404, 5).id == "sub-1"


def test_an_unexpected_failure_after_the_registration_is_not_taken_for_not_sent(
    told: Told, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eraflow.numerai import upload

    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(upload, "_uploaded", lambda *_: "stored.csv")
    monkeypatch.setattr(upload, "confirmed", breaks)
    told.say = lambda operation: {"data": {operation: [] if operation == "submissions" else answers()[operation]}}
    csv = tmp_path / "submission.csv"
    csv.write_bytes(CSV)
    with pytest.raises(NotConfirmedError, match="sub-1 was sent"):
        client().submit(csv, "model-1", 1404, 5)
