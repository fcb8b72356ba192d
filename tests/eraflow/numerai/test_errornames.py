"""What a server's answer says of the time to wait."""

from __future__ import annotations

import pytest
import requests

from eraflow.numerai.errornames import retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0), ("soon", None)],
)
def test_the_server_s_wish_to_wait_is_read_as_seconds_or_a_date(text: str, seconds: float | None) -> None:
    response = requests.Response()
    response.headers.update({"Retry-After": text, "Date": "Sat, 21 Nov 2026 12:00:00 GMT"})
    assert retry_after(response) == seconds
