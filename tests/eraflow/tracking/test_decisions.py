"""The log of decisions, and who was the champion before."""

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from eraflow.tracking.decisions import LONGEST, ChampionDecision, before, decided, note, read_log


def entry(what, version):
    return ChampionDecision(what, version, "2026-11-30T12:00:00+00:00", "me@here", "")


def log_of(text):
    """`s3 p1 r2`: shipped, promoted, rolled back to, challenger."""
    kinds = {"s": "shipped", "p": "promoted", "r": "rolled back", "c": "challenger"}
    return [entry(kinds[one[0]], int(one[1:])) for one in text.split()]


def test_each_rollback_goes_one_back():
    assert before(log_of("s1 s2 s3"), 3) == 2
    assert before(log_of("s1 s2 s3 r2"), 2) == 1
    assert before(log_of("s1 s2 s3 r2 r1"), 1) is None


def test_what_is_promoted_after_a_rollback_stands_upon_what_was_left():
    assert before(log_of("s1 s2 s3 r2 p3"), 3) == 2
    assert before(log_of("s1 s2 s3 r2 s4"), 4) == 2
    assert before(log_of("s1 s2 p1"), 1) == 2
    assert before(log_of("s1 s2 p1 r2"), 2) == 1


def test_the_same_version_twice_is_one_and_a_challenger_is_none():
    assert before(log_of("s1 s2 s2 c9"), 2) == 1
    assert before(log_of(""), 1) is None
    assert before(log_of("c1 c2"), 2) is None


def test_a_decision_without_effect_is_passed_over():
    """A process that died after it wrote the log and before it moved the alias."""
    assert before(log_of("s1 s2 p3"), 2) == 1
    assert before(log_of("s1 s2 s3 r2"), 3) == 2


@given(st.lists(st.tuples(st.sampled_from(["shipped", "promoted"]), st.integers(1, 5)), max_size=30))
def test_rolling_back_ends_and_never_names_the_champion_itself(entries):
    log = [entry(what, version) for what, version in entries]
    champion = log[-1].version if log else 1
    for _ in range(len(log) + 1):
        earlier = before(log, champion)
        if earlier is None:
            return
        assert earlier != champion
        log.append(entry("rolled back", earlier))
        champion = earlier
    raise AssertionError("it went on for ever")


def test_the_log_is_kept_in_the_registry_and_stays_short(tracker):
    tracker.link.call("create_registered_model", "eraflow-ensemble")
    for version in range(3):
        note(tracker, None, decided("promoted", version, "  a reason\nof two lines "))
    found = read_log(tracker, None)
    assert [each.version for each in found] == [0, 1, 2]
    assert found[0].why == "a reason of two lines"
    assert "@" in found[0].by
    text = json.dumps([asdict(each) for each in found * LONGEST])
    tracker.link.call("set_registered_model_tag", "eraflow-ensemble", "decisions-any", text)
    note(tracker, None, decided("promoted", 7))
    assert len(read_log(tracker, None)) == LONGEST
    assert read_log(tracker, None)[-1].version == 7


def test_a_log_that_somebody_spoilt_counts_as_none(tracker):
    tracker.link.call("create_registered_model", "eraflow-ensemble")
    for text in ("no json", '{"a": 1}', '[{"what": "promoted"}, 3]'):
        tracker.link.call("set_registered_model_tag", "eraflow-ensemble", "decisions-any", text)
        assert read_log(tracker, None) == []
