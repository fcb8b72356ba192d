"""The confidence of printed bounds, asked for in the same way by every verb."""

import json

import pytest

from flows.command.cli import main, parser
from flows.command.terminal.options import confidence_of

VERBS = (["score", "p.csv", "--data", "d", "--target", "target_x_20"], ["compare", "run"])


@pytest.mark.parametrize("verb", VERBS)
def test_it_is_095_unless_asked(verb):
    assert confidence_of(parser().parse_args(verb)) == 0.95
    assert confidence_of(parser().parse_args([*verb, "--confidence", "0.99"])) == 0.99


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("asked", ["0.5", "1", "nan"])
def test_what_is_no_one_sided_confidence_is_wrong_usage(verb, asked, capsys):
    assert main([*verb, "--confidence", asked, "--json"]) == 2
    told = capsys.readouterr()
    assert f"--confidence is {float(asked)}" in told.err
    assert json.loads(told.out.splitlines()[-1])["error"]["code"] == "settings"
