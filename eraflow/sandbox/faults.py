"""What the sandbox does wrong on demand. Every fault but the clock is a count: it happens to the next so many requests.

requests.post(f"{url}/sandbox/faults", json={"server_500": 2, "clock_offset": -3600})
eraflow sandbox serve --fault server_500=2 --fault clock_offset=-3600
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

LASTING = 1_000_000
"""A count that no test or week uses up."""


@dataclass
class Faults:
    """Armed faults.

    API requests:
        server_500: answered 500.
        api_hang: never answered.
        api_429: answered 429 with `Retry-After: 1`.
        api_html: answered 200 with a gateway's HTML page instead of JSON.
        api_502: answered 502 with a gateway's HTML page.
        wrong_key: whatever the key, it is not accepted.

    Downloads of parquet files:
        file_500: answered 500.
        file_drip: a head at once, then a few bytes a second, for as long as the client listens.
        file_hang: half of the file, then silence.
        file_truncated: half of the announced bytes, then the connection is closed.
        file_short: half of the file, announced as if it were all of it.
        file_spliced: half of the file, then closed; whoever goes on gets another version's bytes under the same ETag.
        file_flipped: whole, but for one bit in the middle of its pages, under the same ETag.
        file_no_range: a request for the rest is answered 200 with everything.
        live_renamed: live.parquet with its first feature under another name.
        live_nan: live.parquet with float features, NaN in places and in all of the second feature.

    Uploads:
        put_403: answered 403 and not kept, as an expired signature is.
        put_altered: answered 200 and kept with the first digit of one prediction changed, which is still a valid file.
        put_500: answered 500 and not kept.
        put_lost: answered 200 and not kept.
        put_reset: the connection is reset in the middle.
        put_skewed: answered 403 RequestTimeTooSkewed, as a storage service does when the clocks differ.

    Submissions and rounds:
        create_lost: registered, and answered 500.
        create_refused: registered, and answered with an error of the API's.
        create_twice: registered twice.
        submissions_odd: the list of submissions has numbers where times belong.
        readback_refused: what was sent is not handed out again.
        validation_fails: found faulty, whatever it holds.
        closes_after_live: the round closes when live.parquet has been asked for.
        closes_after_put: the round closes when the upload has arrived.
        multipliers_double: the round's multipliers are doubled when live.parquet has been asked for.

    Uploaded models:
        pickle_fails: found faulty by its validation, with a log.
        pickle_stuck: its validation never ends.
        run_fails: its run for the round ends in an error, with a log.
        run_stuck: its run never ends.
        pickle_create_lost: registered, and answered 500.
        image_gone: the images are listed as deprecated.
        diagnostics_differ: its diagnostics are those of another model, with CORR lower by .2.

    The clock:
        clock_offset: seconds, may be negative, by which the server's clock is ahead of this machine's. Not a count.
    """

    server_500: int = 0
    api_hang: int = 0
    api_429: int = 0
    api_html: int = 0
    api_502: int = 0
    wrong_key: int = 0
    file_500: int = 0
    file_drip: int = 0
    file_hang: int = 0
    file_truncated: int = 0
    file_short: int = 0
    file_spliced: int = 0
    file_flipped: int = 0
    file_no_range: int = 0
    live_renamed: int = 0
    live_nan: int = 0
    put_403: int = 0
    put_altered: int = 0
    put_500: int = 0
    put_lost: int = 0
    put_reset: int = 0
    put_skewed: int = 0
    create_lost: int = 0
    create_refused: int = 0
    create_twice: int = 0
    submissions_odd: int = 0
    readback_refused: int = 0
    validation_fails: int = 0
    closes_after_live: int = 0
    closes_after_put: int = 0
    multipliers_double: int = 0
    pickle_fails: int = 0
    pickle_stuck: int = 0
    run_fails: int = 0
    run_stuck: int = 0
    pickle_create_lost: int = 0
    image_gone: int = 0
    diagnostics_differ: int = 0
    clock_offset: int = 0
    spliced_names: set[str] = field(default_factory=set, repr=False)  # half sent; the rest will be another version's
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, name: str) -> bool:
        """Whether the fault happens now; one of its count is used up."""
        with self._lock:
            left = int(getattr(self, name))
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def first(self, *names: str) -> str | None:
        """The first of these faults that is armed, of which one is used up; None when none is."""
        return next((name for name in names if self.take(name)), None)

    def arm(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Set the counts given and return all. An unknown name raises KeyError."""
        with self._lock:
            for name in counts:
                if name not in self.names():
                    raise KeyError(name)
            for name, count in counts.items():
                setattr(self, name, int(count))
            return {name: int(getattr(self, name)) for name in self.names()}

    @staticmethod
    def names() -> list[str]:
        """The faults that can be armed."""
        return [part.name for part in fields(Faults) if part.type == "int"]
