from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numerai_tools.scoring import tie_kept_rank
from numerai_tools.submissions import validate_submission_numerai

from eraflow.disk.atomic import StorageError
from eraflow.numerai.submission import CHECK_NAMES, SubmissionCheckError, SubmissionRecord, check_submission
from eraflow.numerai.submission_csv import (
    BadIdError,
    ConstantSubmissionError,
    DuplicateIdsError,
    EmptyLiveError,
    NotFinitePredictionsError,
    SubmissionInputError,
    write_submission,
)

IDS = [f"n{number:015x}" for number in (7, 3, 255, 4096, 12)]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

finite = st.floats(allow_nan=False, allow_infinity=False)
numerai_ids = st.integers(0, 16**15 - 1).map("n{:015x}".format)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "submission" / "submission.csv"


def check(path: Path, content: bytes | None = None, ids: list[str] | None = None) -> SubmissionRecord:
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return check_submission(path, IDS if ids is None else ids, SubmissionRecord.sha256_of(path))


def failed(record: SubmissionRecord) -> set[str]:
    return {check.name for check in record.checks if not check.passed}


def test_the_bytes_are_exactly_these(path: Path) -> None:
    write_submission(IDS, [0.1, -3.0, 0.1, 1e9, 0.5], path)
    assert path.read_bytes() == (
        b"id,prediction\n"
        b"n000000000000003,0.1000000000\n"
        b"n000000000000007,0.4000000000\n"
        b"n00000000000000c,0.7000000000\n"
        b"n0000000000000ff,0.4000000000\n"
        b"n000000000001000,0.9000000000\n"
    )
    assert [p.name for p in path.parent.iterdir()] == ["submission.csv"]


@FEW
@given(rows=st.dictionaries(numerai_ids, finite, min_size=2, max_size=60))
def test_any_predictions_give_a_valid_submission_unless_constant(path: Path, rows: dict[str, float]) -> None:
    ids, values = list(rows), list(rows.values())
    if len(set(values)) == 1:
        with pytest.raises(ConstantSubmissionError, match=f"all {len(values)} predictions"):
            write_submission(ids, values, path)
        return
    write_submission(ids, values, path)
    record = check(path, ids=ids)
    assert failed(record) == set()
    assert record.rows == len(ids)
    read = pd.read_csv(path)  # as a server would, with defaults
    validate_submission_numerai(pd.Series(ids), read)
    expected = tie_kept_rank(pd.Series(values, index=ids).sort_index())
    np.testing.assert_allclose(read.set_index("id")["prediction"], expected, atol=1e-10)
    assert read["id"].is_monotonic_increasing


@FEW
@given(rows=st.dictionaries(st.text(max_size=8), finite, min_size=2, max_size=8))
def test_any_ids_are_either_kept_as_they_are_or_refused(path: Path, rows: dict[str, float]) -> None:
    try:
        write_submission(list(rows), np.arange(len(rows)), path)
    except BadIdError:
        return
    assert failed(check(path, ids=list(rows))) == set()
    assert set(pd.read_csv(path)["id"]) == set(rows)


@pytest.mark.parametrize(
    "name", ["a,b", 'a"b', "a b", "a\nb", "", "\ufeffa", "é", "007", "1e5", "nan", "NA", "null", "True", "inf", "a\0"]
)
def test_ids_that_a_reader_would_change_are_refused(path: Path, name: str) -> None:
    with pytest.raises(BadIdError, match="1 of 2 ids"):
        write_submission(["n1", name], [0.1, 0.2], path)
    assert not path.exists()


@FEW
@given(
    values=st.lists(st.integers(0, 5).map(float), min_size=2, max_size=30).filter(lambda v: len(set(v)) > 1),
    random=st.randoms(use_true_random=False),
)
def test_the_order_of_the_rows_and_any_rising_change_leave_the_bytes(path: Path, values: list, random: Any) -> None:
    ids = [f"n{number}" for number in range(len(values))]
    first = write_submission(ids, values, path).read_bytes()
    order = list(range(len(values)))
    random.shuffle(order)
    again = write_submission([ids[i] for i in order], [np.exp(values[i]) - 7 for i in order], path).read_bytes()
    assert again == first


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), None])
def test_a_prediction_that_is_no_number_is_named(path: Path, bad: float) -> None:
    with pytest.raises(NotFinitePredictionsError, match=f"1 of 5 predictions .* {IDS[2]}"):
        write_submission(IDS, [0.1, 0.2, bad, 0.4, 0.5], path)  # type: ignore[list-item]


def test_inputs_that_do_not_belong_together(path: Path) -> None:
    with pytest.raises(DuplicateIdsError, match="1 ids appear more than once, such as n000000000000007"):
        write_submission([*IDS, IDS[0]], np.arange(6), path)
    with pytest.raises(SubmissionInputError, match=r"5 ids and predictions of shape \(4,\)"):
        write_submission(IDS, np.arange(4), path)
    with pytest.raises(SubmissionInputError, match=r"shape \(5, 1\)"):
        write_submission(IDS, np.arange(5)[:, None], path)
    with pytest.raises(SubmissionInputError, match="no numbers"):
        write_submission(IDS, ["a"] * 5, path)
    with pytest.raises(BadIdError):
        write_submission([1, 2], [0.1, 0.2], path)  # type: ignore[list-item]
    (path.parent.parent / "file").write_text("")
    with pytest.raises(StorageError):
        write_submission(IDS, np.arange(5), path.parent.parent / "file" / "s.csv")


def test_an_empty_live_file_gives_a_header_and_is_refused_on_submit(path: Path) -> None:
    write_submission([], [], path)
    assert path.read_bytes() == b"id,prediction\n"
    with pytest.raises(EmptyLiveError, match="no rows"):
        check(path, ids=[])
    assert "row_count" in failed(check(path))


def test_seven_thousand_rows_keep_their_order(path: Path) -> None:
    ids = [f"n{number:015x}" for number in range(7000)]
    values = np.random.default_rng(1).normal(size=7000)
    write_submission(ids, values, path)
    record = check(path, ids=ids)
    record.require()
    read = pd.read_csv(path)["prediction"].to_numpy()
    assert (np.argsort(read) == np.argsort(values)).all()
    assert 0 < read.min() < read.max() < 1


# --- checks ---


def good() -> bytes:
    rows = sorted(zip(IDS, (0.1, 0.3, 0.5, 0.7, 0.9), strict=True))
    return b"id,prediction\n" + b"".join(f"{name},{value:.10f}\n".encode() for name, value in rows)


def test_a_good_submission_passes_eleven_checks_by_name(path: Path) -> None:
    record = check(path, good())
    assert tuple(check.name for check in record.checks) == CHECK_NAMES
    assert (record.passed, record.rows, failed(record)) == (True, 5, set())
    assert record.sha256 == hashlib.sha256(good()).hexdigest()
    assert record.require() is record


def test_the_record_survives_json(path: Path) -> None:
    record = check(path, good()[:-5])
    assert SubmissionRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


def edited(old: bytes, new: bytes, count: int = 1) -> bytes:
    assert old in good()
    return good().replace(old, new, count)


FIRST = b"n000000000000003,0.3000000000\n"
FAULTS = {
    "a row too few": (edited(FIRST, b""), {"row_count", "exact_id_set"}),
    "a row too many": (good() + b"n0000000000000aa,0.2000000000\n", {"row_count", "exact_id_set"}),
    "a row twice": (good() + FIRST, {"row_count", "unique_ids"}),
    "a foreign id": (edited(b"n000000000000003", b"n0000000000000aa"), {"exact_id_set"}),
    "another header": (edited(b"id,prediction", b"id,target"), {"columns"}),
    "a name with a space": (edited(b"id,prediction", b"id, prediction"), {"columns"}),
    "columns in another order": (edited(b"id,prediction", b"prediction,id"), {"columns"}),
    "a third column": (edited(FIRST, FIRST[:-1] + b",1\n"), {"columns"}),
    "one column": (edited(FIRST, b"n000000000000003\n"), {"columns", "no_nan_or_inf"}),
    "no header": (good().partition(b"\n")[2], {"columns", "row_count", "exact_id_set"}),
    "nan": (edited(b"0.3000000000", b"nan"), {"no_nan_or_inf"}),
    "an empty prediction": (edited(b"0.3000000000", b""), {"no_nan_or_inf"}),
    "inf": (edited(b"0.3000000000", b"inf"), {"no_nan_or_inf"}),
    "text": (edited(b"0.3000000000", b"high"), {"no_nan_or_inf"}),
    "a number only Python reads": (edited(b"0.3000000000", b"0.3_0"), {"no_nan_or_inf"}),
    "zero": (edited(b"0.3000000000", b"0.0000000000"), {"range"}),
    "one": (edited(b"0.3000000000", b"1.0000000000"), {"range"}),
    "negative": (edited(b"0.3000000000", b"-0.300000000"), {"range"}),
    "constant": (b"id,prediction\n" + b"".join(f"{name},0.5\n".encode() for name in sorted(IDS)), {"range"}),
    "a byte order mark": (b"\xef\xbb\xbf" + good(), {"encoding"}),
    "latin-1": (edited(b"n000000000000003", b"n00000000000000\xe9"), {"encoding", "exact_id_set"}),
    "utf-16": (good().decode().encode("utf-16"), {"encoding", "columns"}),
    "CRLF": (good().replace(b"\n", b"\r\n"), {"line_ends"}),
    "CR": (good().replace(b"\n", b"\r"), {"line_ends"}),
    "no last line end": (good()[:-1], {"line_ends"}),
    "an empty line": (edited(FIRST, FIRST + b"\n"), {"line_ends"}),
    "an empty file": (b"", {"columns", "row_count", "line_ends", "plausible_size"}),
    "forty digits": (edited(b"0.3000000000", b"0.3" + b"0" * 120), {"plausible_size"}),
    "truncated": (good()[:40], {"row_count", "line_ends", "plausible_size"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_check(path: Path, fault: str) -> None:
    content, expected = FAULTS[fault]
    record = check(path, content)
    assert expected <= failed(record), {c.name: c.text for c in record.checks if not c.passed}
    with pytest.raises(SubmissionCheckError) as caught:
        record.require()
    assert all(name in str(caught.value) for name in expected)
    assert "do not send it" in caught.value.remedy


def test_each_check_can_fail_alone_where_that_is_possible(path: Path) -> None:
    alone = {name: failed(check(path, content)) - {"numerai_tools"} for name, (content, _) in FAULTS.items()}
    single = {next(iter(found)) for found in alone.values() if len(found) == 1}
    assert {"columns", "exact_id_set", "no_nan_or_inf", "range", "encoding", "line_ends", "plausible_size"} <= single


def test_a_second_prediction_must_give_the_same_bytes(path: Path) -> None:
    check(path, good())
    assert failed(check_submission(path, IDS, None)) == {"reproducible"}
    assert failed(check_submission(path, IDS, "0" * 64)) == {"reproducible"}


def test_numerai_s_own_validation_is_really_asked(path: Path) -> None:
    record = check(path, edited(FIRST, b""))
    official = record.checks[-1]
    assert (official.name, official.passed) == ("numerai_tools", False)
    assert "invalid_submission_ids" in official.text


def test_a_submission_that_is_not_there(path: Path) -> None:
    with pytest.raises(SubmissionCheckError, match="cannot read"):
        check_submission(path, IDS, None)


@FEW
@given(noise=st.binary(max_size=80), at=st.integers(0, 150))
def test_no_bytes_break_the_checks(path: Path, noise: bytes, at: int) -> None:
    content = good()[:at] + noise + good()[at:]
    record = check(path, content)
    assert len(record.checks) == 11
    if record.passed:  # then Numerai accepts it as well, read in its own way
        validate_submission_numerai(pd.Series(IDS), pd.read_csv(io.BytesIO(content)))
