"""The store that MLflow's files lie in, asked before it is used: a folder, S3, or Google Cloud Storage.

MLflow's own clients wait minutes for a store that does not answer, and tell of a wrong bucket, missing keys and a
missing library in the words of whichever library met them first. Here one short question is asked with a short
deadline, and each of these is an error of its own. Keys come from the environment alone, where the libraries look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from eraflow.tracking.mlflowlink import TrackingError

CONNECT_SECONDS, ANSWER_SECONDS, TRIES = 5, 15, 2
ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Variables that name another S3 than Amazon's; the first is MLflow's, the others boto3's, in their order."""
NO_BUCKET = {"NoSuchBucket", "404", "InvalidBucketName"}
REFUSED = {
    *("AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"),
    *("InvalidToken", "401", "403", "RequestTimeTooSkewed"),
}
"""S3's codes of what keys are refused with, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""


class StoreError(TrackingError):
    """The store of the models failed in a way that has no name of its own; the text holds what it said."""

    code = "model_store"


class StoreExtraMissingError(StoreError):
    """The library that speaks to the store of the models is not installed."""

    code = "model_store_extra"


class StoreKeysError(StoreError):
    """The store of the models was given no keys, or refuses those that it was given."""

    code = "model_store_keys"


class StoreMissingError(StoreError):
    """The bucket or the folder that is to hold the models does not exist."""

    code = "model_store_missing"


class StoreUnreachableError(StoreError):
    """The store of the models does not answer."""

    code = "model_store_unreachable"


def check_store(uri: str, *, writes: bool = False) -> None:
    """Ask the store behind an artifact address whether it can be used; one of which nothing is known is not asked.

    Args:
        uri: of a run, a version or a root: `file://`, a path, `s3://` or `gs://`.
        writes: a folder has to be one that this user may write.

    Raises:
        StoreExtraMissingError, StoreKeysError, StoreMissingError, StoreUnreachableError, StoreError: it cannot.
    """
    checks: dict[str, Callable[[str], None]] = {"s3": _check_s3, "gs": _check_gs}
    scheme = urlsplit(uri).scheme
    if scheme in checks:
        checks[scheme](uri)
    elif not is_remote(uri):
        _check_folder(uri, writes=writes)


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Where MLflow fails, the store is asked, and what is wrong with it is raised instead.

    Raises:
        StoreError: it is the store.
        TrackingError: the store is well; the error is MLflow's, as it came.
    """
    try:
        yield
    except StoreError:
        raise
    except TrackingError as error:
        check_store(uri)
        if any(f"({code})" in error.problem for code in REFUSED):  # it may be read, and not be written
            raise _keys(uri, error.problem[:300]) from error
        raise


def is_remote(uri: str) -> bool:
    """Whether files at an address have to be fetched: they do not lie in a folder of this computer."""
    return urlsplit(uri).scheme not in ("", "file")


def _check_folder(uri: str, *, writes: bool) -> None:
    root = Path(unquote(urlsplit(uri).path))
    above = next((folder for folder in (root, *root.parents) if folder.exists()), root)
    wanted = os.R_OK | os.X_OK | (os.W_OK if writes else 0)
    if not above.is_dir() or not os.access(above, wanted):
        raise StoreMissingError(
            f"{above}, where models are kept, is no folder that this user may {'write' if writes else 'read'}",
            "mount it, or give this user the right; or name another place as tracking.artifacts",
        )


def _check_s3(uri: str) -> None:
    try:
        import boto3
        from botocore import exceptions
        from botocore.config import Config
    except ImportError as error:
        raise _extra(uri, "boto3", "s3", error) from error
    bucket, endpoint = (
        urlsplit(uri).netloc,
        next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None),
    )
    patience = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": TRIES}
    )
    try:
        client = boto3.Session().client("s3", endpoint_url=endpoint, config=patience)
        client.list_objects_v2(Bucket=bucket, Prefix=urlsplit(uri).path.lstrip("/"), MaxKeys=1)
    except exceptions.ClientError as error:
        raise _refusal(uri, str(error.response.get("Error", {}).get("Code", "")), error) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise _keys(uri, str(error)) from error
    except exceptions.ParamValidationError as error:  # such as a name that no bucket can have
        raise _no_bucket(uri, str(error)) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise _silent(uri, str(error)) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise _other(uri, error) from error


def _refusal(uri: str, code: str, error: Exception) -> StoreError:
    if code in NO_BUCKET:
        return _no_bucket(uri, str(error))
    if code in REFUSED:
        return _keys(uri, str(error))
    return _other(uri, error)


def _check_gs(uri: str) -> None:
    try:
        from google.api_core import exceptions
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
        from google.cloud import storage
        from requests.exceptions import RequestException
    except ImportError as error:
        raise _extra(uri, "google-cloud-storage", "gcs", error) from error
    bucket = urlsplit(uri).netloc
    try:
        client = _gs_client(storage)
        asked: Any = {"timeout": (CONNECT_SECONDS, ANSWER_SECONDS), "retry": None}
        next(iter(client.list_blobs(bucket, prefix=urlsplit(uri).path.lstrip("/"), max_results=1, **asked)), None)
    except exceptions.NotFound as error:
        raise _no_bucket(uri, str(error)) from error
    except (exceptions.Forbidden, exceptions.Unauthorized, DefaultCredentialsError, RefreshError) as error:
        raise _keys(uri, str(error)) from error
    except (RequestException, TransportError, exceptions.ServiceUnavailable, exceptions.GatewayTimeout) as error:
        raise _silent(uri, str(error)) from error
    except (exceptions.GoogleAPIError, GoogleAuthError, ValueError) as error:
        raise _other(uri, error) from error


def _gs_client(storage: Any) -> Any:
    """As MLflow makes it, except that missing keys are told and not turned into an anonymous client."""
    return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "eraflow"))


def _extra(uri: str, package: str, extra: str, error: ImportError) -> StoreError:
    return StoreExtraMissingError(
        f"{uri} needs {package}, which is not installed ({error})", f"install it: make install EXTRAS=networks,{extra}"
    )


def _keys(uri: str, said: str) -> StoreError:
    wanted = {
        "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role or profile that boto3 finds",
        "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file with the keys of a service account",
    }
    remedy = wanted.get(urlsplit(uri).scheme, "give this user the right to write there")
    return StoreKeysError(f"{uri} cannot be used with the keys there are: {said[:300]}", remedy)


def _no_bucket(uri: str, said: str) -> StoreError:
    return StoreMissingError(
        f"there is no bucket {urlsplit(uri).netloc} at the store of {uri}: {said[:300]}",
        "correct tracking.artifacts, or make the bucket; Eraflow makes none",
    )


def _silent(uri: str, said: str) -> StoreError:
    address = {"s3": " and at MLFLOW_S3_ENDPOINT_URL, the address of a store that is not Amazon's"}
    return StoreUnreachableError(
        f"the store of {uri} does not answer: {said[:300]}",
        f"look at the network{address.get(urlsplit(uri).scheme, '')}; then run again",
    )


def _other(uri: str, error: Exception) -> StoreError:
    return StoreError(f"{uri}: {type(error).__name__}: {str(error)[:300]}", "correct tracking.artifacts or the store")
