"""Everything that can go wrong between this machine and the tournament, each with a name.

`passing` says whether waiting can help: a server that is down comes back, a wrong key stays wrong.
No text here ever holds a key or the query part of a signed address.
"""

from __future__ import annotations

from typing import ClassVar, Self

from eraflow.errors import EraflowError

CHECK_NETWORK = "check the network and the tournament's status page, then run again: what was finished is kept"


class TournamentError(EraflowError):
    """Base of the errors of the client."""

    code = "tournament"
    passing: ClassVar[bool] = False
    may_have_arrived: ClassVar[bool] = False  # whether a submission may be there all the same
    knows_what_is_filed: ClassVar[bool] = False  # whether what was filed before had been read when it was raised
    retry_after: float | None = None  # seconds the server asked us to wait, when it said so

    def after(self, attempts: int) -> Self:
        """A copy of this error that says how often it was met."""
        met = f" (attempt {attempts} of {attempts})" if attempts > 1 else ""
        return type(self)(f"{self.problem}{met}", self.remedy)


class ServerDownError(TournamentError):
    """No connection could be made. Check the network and the address, then run again."""

    code = "server_down"
    passing = True


class ServerFaultError(TournamentError):
    """The server answered with its own failure (5xx) or with something unreadable. Run again later."""

    code = "server_fault"
    passing = True


class OddAnswerError(ServerFaultError):
    """The server answered, but not what was expected: a field is missing or of another type. Run again later."""

    code = "odd_answer"


class DeadlineError(TournamentError):
    """No answer within the time a setting allows. Raise that setting, or run again later."""

    code = "deadline"
    passing = True


class NoThreadError(TournamentError):
    """This computer has no thread to give; as a rule other programs hold them for a moment."""

    code = "out_of_threads"
    passing = True


class OverallDeadlineError(DeadlineError):
    """The time for the whole thing, all attempts together, is over. Look at what was done, then run again."""

    passing = False


class NotConfirmedError(OverallDeadlineError):
    """The submission was sent, but is not known to be accepted. Run again: the same predictions are recognised."""

    code = "not_confirmed"
    may_have_arrived = True


class WrongKeyError(TournamentError):
    """The API does not accept the key (401, 403), or none was given. Set the right key."""

    code = "wrong_key"


class ApiRefusedError(TournamentError):
    """The API understood the request and said no; its own message is quoted."""

    code = "api_refused"


class AddressError(TournamentError):
    """There is no tournament API at this address. Correct `source.url`."""

    code = "api_address"


class RoundClosedError(TournamentError):
    """No round is open, or not the expected one. Run again when the next one opens."""

    code = "round_closed"


class NoSuchFileError(TournamentError):
    """The data set has no file of this name. Check `data.version`."""

    code = "no_such_file"


class NoSuchModelError(TournamentError):
    """The account has no model of this name, or several and none was named. Set `submit.model`."""

    code = "no_such_model"


class DownloadCorruptError(TournamentError):
    """A file arrived damaged, every time it was fetched. Nothing of it was kept."""

    code = "download_corrupt"


class DownloadBrokenError(DownloadCorruptError):
    """A transfer ended early or with the wrong length; the next attempt may do better."""

    code = "download_broken"
    passing = True


class DownloadSlowError(DownloadBrokenError):
    """Bytes trickled in, at less than a useful rate; the next attempt goes on after them."""

    code = "download_slow"


class DownloadRefusedError(TournamentError):
    """The file server does not hand out the file (4xx)."""

    code = "download_refused"


class UploadRefusedError(TournamentError):
    """The file server did not take the upload: the answer to the PUT was not 2xx. Nothing was submitted."""

    code = "upload_refused"
    knows_what_is_filed = True


class UploadFaultError(UploadRefusedError):
    """The PUT met a failure of the server's own (5xx); the next attempt may do better."""

    passing = True


class UploadLostError(UploadRefusedError):
    """The PUT was answered as if all were well, and the file did not arrive; the next attempt may do better."""

    code = "upload_lost"
    passing = True


class UploadAlteredError(UploadLostError):
    """The server holds other predictions than were sent; the next attempt may do better."""

    code = "upload_altered"
    may_have_arrived = True


class AddressRefusedError(UploadRefusedError):
    """The file server refused the address that it was given for an upload; a fresh one may do better."""


class ClockSkewError(TournamentError):
    """The file server refused a request because its clock and ours differ. Set the clock of this machine."""

    code = "clock_skewed"
    knows_what_is_filed = True


class SubmissionRejectedError(TournamentError):
    """The tournament received the submission and found it faulty; its reason is quoted."""

    code = "submission_rejected"
    knows_what_is_filed = True


def knows_what_is_filed(error: BaseException) -> bool:
    """Whether what was filed before had been read when this was raised: then an earlier upload's fate is known."""
    return isinstance(error, TournamentError) and error.knows_what_is_filed
