"""A verdict survives JSON exactly, and one that contradicts itself is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.atomic import write_json
from eraflow.gate.verdict import CarryOverError, RuleResult, Verdict, VerdictFileError, read_verdict

figures = st.none() | st.floats(allow_nan=False, allow_infinity=False)
rules = st.builds(
    RuleResult,
    name=st.text(max_size=10),
    passed=st.booleans(),
    threshold=figures,
    figure=figures,
    bound=figures,
    eras=st.integers(0, 2000),
    first_era=st.text(max_size=4),
    last_era=st.text(max_size=4),
    kind=st.sampled_from(["certificate", "floor", "alarm", "cap", "comparison"]),
    text=st.text(max_size=40),
    judged=st.booleans(),
)


def verdict(*found: RuleResult) -> Verdict:
    passed = all(rule.passed for rule in found)
    return Verdict(passed, found, "a1b2", 1404, "2026-11-21T12:00:00+00:00", "target_x_60", "a note")


def rule(name="corr", passed=True, judged=True) -> RuleResult:
    return RuleResult(name, passed, 0.0, 0.1, 0.05, 330, "0546", "0875", "certificate", f"{name} text", judged)


@settings(max_examples=60, deadline=None)
@given(st.lists(rules, max_size=4))
def test_the_round_trip_through_json_is_exact(found):
    given_verdict = verdict(*found)
    text = json.dumps(given_verdict.as_dict(), allow_nan=False)
    assert Verdict.from_dict(json.loads(text)) == given_verdict


def test_states_reasons_and_what_was_not_judged():
    found = verdict(rule("corr"), rule("bmc", passed=False), rule("mmc", judged=False))
    assert [r.state for r in found.rules] == ["passed", "blocked", "not judged"]
    assert found.reasons() == ["bmc text"]
    assert found.not_judged() == ["mmc text"]
    assert not found.passed


def test_a_stored_verdict_is_read_back(tmp_path):
    path = write_json(tmp_path / "verdict.json", verdict(rule()).as_dict())
    assert read_verdict(path) == verdict(rule())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rules": 3}', '{"rules": [{"name": "corr"}]}'])
def test_a_damaged_verdict_is_named(tmp_path, content):
    (tmp_path / "verdict.json").write_text(content)
    with pytest.raises(VerdictFileError, match="judge the ensemble again"):
        read_verdict(tmp_path / "verdict.json")


def test_a_missing_verdict_is_named(tmp_path):
    with pytest.raises(VerdictFileError, match=r"none\.json"):
        read_verdict(tmp_path / "none.json")


def test_a_verdict_that_was_turned_to_passed_by_hand_is_refused():
    values = verdict(rule(passed=False)).as_dict() | {"passed": True}
    with pytest.raises(VerdictFileError, match="passed=True but 1 rules block"):
        Verdict.from_dict(values)


def test_a_verdict_is_carried_forward_only_and_remembers_its_round():
    carried = verdict(rule()).carried_to(1405).carried_to(1407)
    assert (carried.round_number, carried.carried_from) == (1407, 1404)
    assert carried.created_at == verdict(rule()).created_at
    assert verdict(rule()).carried_to(1404) == verdict(rule())
    with pytest.raises(CarryOverError, match="1404"):
        verdict(rule()).carried_to(1403)
