"""A base stands in the record, in the verdict and on the page of the week; a verdict without one is as ever."""

from __future__ import annotations

import json
from dataclasses import replace

from eraflow.disk.atomic import write_json
from eraflow.gate.adaptedbases import adapted_bases
from eraflow.gate.verdict import Verdict
from eraflow.reports.weekreport import week_report
from eraflow.runs import stage
from eraflow.runs.weekrecord import note_stage, week_record, write_outcome
from tests.eraflow.gate.test_verdict import rule, verdict

LIVE = {
    "base": "ab" * 32,
    "base_last_era": "0832",
    "age_eras": 68,
    "merged": True,
    "lower_bound": 0.0021,
    "why": "merged: the lower bound +0.0021 of the difference in CORR on 52 eras is above 0.0010",
}
TOLD = {"windows": [{**LIVE, "merged": False}, LIVE, LIVE], "live": LIVE}
TEXT = (
    "transformer: base abababababab, trained up to era 0832, 68 eras before the newest one; merged: the lower bound "
    "+0.0021 of the difference in CORR on 52 eras is above 0.0010; adapters were merged in 2 of 3 windows"
)


def trained(folder, name, **metrics):
    note_stage(folder, name)
    stage.begin(folder / name, "s")
    told = {"learns": "target_ender_20", "purge_weeks": 8, "features": [5], **metrics}
    stage.finish(folder / name, name, "s", metrics=told, seconds=1.0, peak_mb=None, attempts=1, provenance={})


def test_the_record_and_the_verdict_tell_of_the_base_and_how_old_it_is(tmp_path):
    trained(tmp_path, "train-lightgbm")
    assert adapted_bases(tmp_path) == ()
    trained(tmp_path, "train-transformer", adaptation=TOLD)
    members = week_record(tmp_path)["members"]
    assert members["transformer"]["adaptation"] == TOLD
    assert "adaptation" not in members["lightgbm"]
    (base,) = adapted_bases(tmp_path)
    assert (base.member, base.sha256, base.last_era, base.age_eras) == ("transformer", "ab" * 32, "0832", 68)
    assert (base.merged, base.lower_bound, base.text) == (True, 0.0021, TEXT)


def test_a_verdict_keeps_its_bases_and_one_without_any_has_no_field_for_them(tmp_path):
    trained(tmp_path, "train-transformer", adaptation={**TOLD, "live": {**LIVE, "lower_bound": None}})
    judged = replace(verdict(rule()), bases=adapted_bases(tmp_path))
    stored = json.loads(json.dumps(judged.as_dict(), allow_nan=False))
    assert stored["bases"][0]["lower_bound"] is None
    assert Verdict.from_dict(stored) == judged
    assert "bases" not in verdict(rule()).as_dict()


def test_the_page_of_the_week_tells_it_under_the_gate(tmp_path):
    trained(tmp_path, "train-transformer", adaptation=TOLD)
    judged = replace(verdict(rule()), bases=adapted_bases(tmp_path))
    write_json(tmp_path / "gate" / "verdict.json", judged.as_dict())
    write_outcome(tmp_path)
    assert f"- {TEXT}" in week_report(tmp_path, {})
