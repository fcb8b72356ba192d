"""Links in the pages of a run."""

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from tasks.pages.links import artifact_path, flow_run_link


@pytest.mark.parametrize(
    ("api", "ui", "path"),
    [
        (None, None, "/artifacts/key/verdict"),
        ("http://127.0.0.1:39273/api", None, "/artifacts/key/verdict"),
        ("http://box:4200/api", "https://example.org/prefect/", "/prefect/artifacts/key/verdict"),
    ],
)
def test_a_page_is_linked_to_where_it_is_shown_and_not_to_the_server_that_made_it(api, ui, path):
    with temporary_settings({PREFECT_API_URL: api, PREFECT_UI_URL: ui}):
        assert artifact_path("verdict") == path


def test_a_message_that_is_read_elsewhere_has_the_whole_address():
    with temporary_settings({PREFECT_API_URL: "http://box:4200/api", PREFECT_UI_URL: None}):
        assert flow_run_link("7") == "http://box:4200/runs/flow-run/7"
