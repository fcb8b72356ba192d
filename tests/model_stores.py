"""Stores of models for tests, spoken to over HTTP on the loopback: S3 as moto plays it, Google's by an emulator."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

BUCKET = "models"
NO_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS")


@dataclass
class Store:
    """A store that runs.

    Attributes:
        kind: `folder`, `s3` or `gs`.
        root: for `tracking.artifacts`.
        stop: ends the server; nothing for a folder.
        change: (part of a name, function of bytes or None) changes or removes the one object of that name.
    """

    kind: str
    root: str
    stop: Any
    change: Any


@contextmanager
def environment(**wanted):
    """The environment without anybody's keys, with these variables."""
    with patch.dict(os.environ, wanted):
        for name in NO_KEYS:
            if name not in wanted:
                os.environ.pop(name, None)
        yield


@contextmanager
def folder_store(place):
    """A folder that the settings name."""
    root = place / "model store"

    def change(name, act):
        (found,) = (path for path in root.rglob("*") if path.is_file() and name in path.as_posix())
        content = None if act is None else act(found.read_bytes())
        found.unlink() if content is None else found.write_bytes(content)

    with environment():
        yield Store("folder", str(root), lambda: None, change)


@contextmanager
def s3_store():
    """S3 with one bucket, keys in the environment."""
    import boto3
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with environment(**keys, MLFLOW_S3_ENDPOINT_URL=address, AWS_EC2_METADATA_DISABLED="true"):
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket=BUCKET)

        def change(name, act):
            listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
            (key,) = (each["Key"] for each in listed if name in each["Key"])
            if act is None:
                client.delete_object(Bucket=BUCKET, Key=key)
            else:
                content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                client.put_object(Bucket=BUCKET, Key=key, Body=act(content))

        running = [server]
        try:
            yield Store("s3", f"s3://{BUCKET}/numerai", lambda: running and running.pop().stop(), change)
        finally:
            if running:
                running.pop().stop()
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()


@contextmanager
def gs_store():
    """Google Cloud Storage with one bucket."""
    from gcp_storage_emulator.server import create_server
    from google.cloud import storage

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET)
    server.start()
    with environment(STORAGE_EMULATOR_HOST=f"http://127.0.0.1:{server._api._httpd.server_address[1]}"):

        def change(name, act):
            bucket = storage.Client(project="tests").bucket(BUCKET)
            (blob,) = (each for each in bucket.list_blobs() if name in each.name)
            if act is None:
                blob.delete()
            else:
                blob.upload_from_string(act(blob.download_as_bytes()))

        running = [server]
        try:
            yield Store("gs", f"gs://{BUCKET}/numerai", lambda: running and running.pop().stop(), change)
        finally:
            if running:
                running.pop().stop()


def opened(kind, place):
    """The store of a kind."""
    return {"folder": lambda: folder_store(place), "s3": s3_store, "gs": gs_store}[kind]()
