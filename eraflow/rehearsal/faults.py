"""What can be wrong with a model that is to be uploaded, as named errors: Numerai tells when a round is lost."""

from __future__ import annotations

from eraflow.errors import EraflowError


class RehearsalFault(EraflowError):
    """A model would fail at Numerai. Its subclasses say how; nothing was sent."""

    code = "rehearsal"


class PickleModuleError(RehearsalFault):
    """The model imports a package that Numerai's image lacks, or that this rehearsal does not install."""

    code = "pickle_module"


class PickleProjectError(RehearsalFault):
    """The model refers to a module of its author by name instead of holding the function itself."""

    code = "pickle_project"


class PicklePandasError(RehearsalFault):
    """The model holds an object of pandas, which another version of pandas may not read."""

    code = "pickle_pandas"


class PicklePythonError(RehearsalFault):
    """The model was pickled by another Python: its byte code fails, or ends the process, in this one."""

    code = "pickle_python"


class PickleUnreadableError(RehearsalFault):
    """The file cannot be loaded as a pickle."""

    code = "pickle_unreadable"


class PickleParametersError(RehearsalFault):
    """The function takes neither one parameter (live features) nor two (and benchmark models)."""

    code = "pickle_parameters"


class PickleResultError(RehearsalFault):
    """The function returns something else than a DataFrame."""

    code = "pickle_result"


class PickleRowsError(RehearsalFault):
    """The function returns more or fewer rows than it was given."""

    code = "pickle_rows"


class PickleNaNError(RehearsalFault):
    """The function returns predictions that are missing."""

    code = "pickle_nan"


class PickleRangeError(RehearsalFault):
    """The function returns predictions outside of 0 to 1."""

    code = "pickle_range"


class PickleColumnsError(RehearsalFault):
    """The function returns other columns than one that is called `prediction`."""

    code = "pickle_columns"


class PickleIdsError(RehearsalFault):
    """The index of what the function returns does not hold every live id once."""

    code = "pickle_ids"


class PickleConstantError(RehearsalFault):
    """All predictions of an era are equal, which Numerai refuses."""

    code = "pickle_constant"


class PicklePartError(RehearsalFault):
    """A part of the model says something else there than where it was trained."""

    code = "pickle_part"


class PickleMemoryError(RehearsalFault):
    """The model takes more memory than Numerai gives it."""

    code = "pickle_memory"


class PickleTimeError(RehearsalFault):
    """The model takes longer than Numerai lets it run."""

    code = "pickle_time"


class PickleNetworkError(RehearsalFault):
    """The model tries to reach the network, which it cannot at Numerai."""

    code = "pickle_network"


class PickleFailedError(RehearsalFault):
    """The function raised an error of its own, or its process ended."""

    code = "pickle_failed"


REMEDIES: dict[type[RehearsalFault], str] = {
    PickleModuleError: "use numpy, scipy, pandas, numba and the boosters alone, as `eraflow export` does",
    PickleProjectError: "pickle the function by value (cloudpickle.register_pickle_by_value), or use `eraflow export`",
    PicklePandasError: "keep lists, numpy arrays, bytes and text in what the function closes over",
    PicklePythonError: "export it for this Python (`eraflow export --python`), or choose the image of its own",
    PickleUnreadableError: "write it with cloudpickle, or export it again",
    PickleParametersError: "let it be predict(live_features) or predict(live_features, live_benchmark_models)",
    PickleResultError: "return a pandas DataFrame",
    PickleRowsError: "return one row for each row that it is given",
    PickleNaNError: "fill missing features with 2 and predict every row",
    PickleRangeError: "return ranks within each era, (rank - 0.5) / n",
    PickleColumnsError: "return one column, `prediction`, with the ids as the index",
    PickleIdsError: "return the index of the live features",
    PickleConstantError: "look at what the model has learnt: an upload of it earns nothing",
    PicklePartError: "export it again, with the versions of the libraries that this rehearsal has",
    PickleMemoryError: "leave out the largest member, or predict in smaller parts",
    PickleTimeError: "leave out the slowest member, or use fewer trees or seeds",
    PickleNetworkError: "put all that it needs into the pickle",
    PickleFailedError: "correct the function; the traceback is in the record (--json)",
}
"""What to do about each."""
BY_CODE = {kind.code: kind for kind in REMEDIES}


def fault(kind: type[RehearsalFault], problem: str, remedy: str | None = None) -> RehearsalFault:
    """A fault with its usual remedy, or another."""
    return kind(problem, remedy or REMEDIES[kind])
