"""A destination is asked to prepare, and then to send what it prepared; nothing is sent where that fails."""

import pytest

from eraflow.numerai.submission import SubmissionCheckError
from tasks.deliver import deliver
from tasks.submit import Submission

DRY = Submission(None, "signature", 1404, "model")  # nothing was sent, so nothing is promised of it


class Noted:
    """A destination that notes what it is asked for."""

    def __init__(self, broken=False):
        self.asked, self.broken = [], broken

    def prepare(self, run, shipped, live):
        self.asked.append(("prepare", run, shipped, live))
        if self.broken:
            raise SubmissionCheckError("a check fails", "predict again")
        return "prepared"

    def send(self, run, tournament, slot, round_now, shipped, prepared):
        self.asked.append(("send", run, tournament, slot, round_now, shipped, prepared))
        return DRY


def test_what_is_prepared_is_sent():
    noted = Noted()
    assert deliver("run", "tournament", "slot", "round", "shipped", "live", noted) is DRY
    assert noted.asked == [
        ("prepare", "run", "shipped", "live"),
        ("send", "run", "tournament", "slot", "round", "shipped", "prepared"),
    ]


def test_what_cannot_be_prepared_is_not_sent():
    noted = Noted(broken=True)
    with pytest.raises(SubmissionCheckError):
        deliver("run", "tournament", "slot", "round", "shipped", "live", noted)
    assert [asked[0] for asked in noted.asked] == ["prepare"]
