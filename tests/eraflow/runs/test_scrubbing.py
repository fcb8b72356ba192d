"""What is written down of a command line or of settings holds no secret."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.runs.scrubbing import REMOVED, scrubbed_command, scrubbed_values

SECRET = "k3y-of-th1s-account"
PLACES = (
    "--set submit.secret_key={}",
    "--token {}",
    "--api-key={}",
    "--set tracking.uri=http://user:{}@mlflow.example/",
    "--set alert.ping_url=https://hc.example/{}",
    "--set x.address=https://hooks.example/services/{}",
    "--data /data/{}",
)


def test_no_place_of_a_command_line_keeps_a_secret():
    for place in PLACES:
        told = scrubbed_command(["eraflow", "run", *place.format(SECRET).split()], {"NUMERAI_SECRET_KEY": SECRET})
        assert SECRET not in " ".join(told), place
        assert told[:2] == ["eraflow", "run"]


def test_what_is_no_secret_stays_as_it_was_typed():
    typed = ["eraflow", "run", "--profile", "laptop", "--set", "models=lightgbm,xgboost@target_ender_60:residual"]
    typed += ["--set", "source.url=http://127.0.0.1:8000/graphql", "--set", "source.keys_block=numerai-keys", "--json"]
    assert scrubbed_command(typed, {"HOME": "/root", "NUMERAI_PUBLIC_ID": "id"}) == typed


@given(st.lists(st.text(max_size=20) | st.integers(), max_size=3), st.text(max_size=8))
@settings(deadline=None)
def test_values_keep_their_form(values, name):
    told = scrubbed_values({name: {"x": values}}, {})
    assert scrubbed_values(told, {}) == told
    assert [type(one) for one in told[name]["x"]] == [type(one) for one in values]


def test_settings_lose_passwords_at_any_depth():
    told = scrubbed_values({"a": [{"password": SECRET, "uri": f"db://me:{SECRET}@host/x"}], "n": 1}, {})
    assert SECRET not in json.dumps(told)
    assert (told["a"][0]["password"], told["n"]) == (REMOVED, 1)
