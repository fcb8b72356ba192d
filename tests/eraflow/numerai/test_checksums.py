import base64
import hashlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.numerai.checksums import MIB, PARTS, WHOLE, Labels, measure, promises


def b64(digest):
    return base64.b64encode(digest).decode()


def of_parts(content, part):
    digests = [hashlib.md5(content[start : start + part]).digest() for start in range(0, len(content), part)]
    return f'"{hashlib.md5(b"".join(digests)).hexdigest()}-{len(digests)}"'


STATED = {
    "etag": lambda c: {"ETag": f'"{hashlib.md5(c).hexdigest()}"'},
    "etag in capitals": lambda c: {"ETag": f'"{hashlib.md5(c).hexdigest().upper()}"'},
    "content-md5": lambda c: {"Content-MD5": b64(hashlib.md5(c).digest())},
    "amazon sha256": lambda c: {"x-amz-checksum-sha256": b64(hashlib.sha256(c).digest())},
    "amazon sha1": lambda c: {"x-amz-checksum-sha1": b64(hashlib.sha1(c).digest())},
    "amazon crc32": lambda c: {"x-amz-checksum-crc32": b64(zlib.crc32(c).to_bytes(4, "big"))},
    "google": lambda c: {"x-goog-hash": f"crc32c=AAAAAA==, md5={b64(hashlib.md5(c).digest())}"},
    "digest": lambda c: {"Digest": f"sha-256={b64(hashlib.sha256(c).digest())}"},
    "repr-digest": lambda c: {"Repr-Digest": f"sha-512=:{b64(hashlib.sha512(c).digest())}:"},
    "etag of parts of 8 MiB": lambda c: {"ETag": of_parts(c, 8 * MIB)},
    "etag of parts of 5 MiB": lambda c: {"ETag": of_parts(c, 5 * MIB)},
    "etag of one part": lambda c: {"ETag": of_parts(c, len(c))},
}


@pytest.fixture(scope="module")
def content():
    return np.random.default_rng(1).bytes(17 * MIB + 12_345)


@pytest.mark.parametrize("stated", STATED)
def test_what_a_server_states_holds_for_its_bytes_and_for_no_others(stated, content, tmp_path):
    path, promised = tmp_path / "file", promises(STATED[stated](content))
    path.write_bytes(content)
    measured = measure(path, promised)
    assert (len(measured.kept), measured.broken) == (1, ())
    assert measured.sha256 == hashlib.sha256(content).hexdigest()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 16
    path.write_bytes(flipped)
    assert len(measure(path, promised).broken) == 1


@given(st.binary(min_size=1, max_size=3000), st.data())
def test_any_flipped_bit_breaks_the_promise(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("flip") / "file"
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[place // 8] ^= 1 << place % 8
    path.write_bytes(flipped)
    assert measure(path, promises({"ETag": f'"{hashlib.md5(content).hexdigest()}"'})).broken


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"5f3a-61b2c"'},  # nginx: time and size
        {"ETag": 'W/"d41d8cd98f00b204e9800998ecf8427e"'},  # a weak label promises no bytes
        {"ETag": "d41d8cd98f00b204e9800998ecf8427e"},
        {"Content-MD5": "not base64"},
        {"x-amz-checksum-sha256": b64(b"of parts, another length") + "-12"},
        {"x-goog-hash": "crc32c=n03x6A=="},
        {"Digest": "adler32=03da0195"},
        {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"', "x-amz-server-side-encryption": "aws:kms"},
    ],
)
def test_what_is_no_checksum_promises_nothing(headers):
    assert promises(headers) == ()


def test_labels_are_not_certain_and_are_proved_by_one_file_that_agrees():
    whole, parts = (promises({"ETag": f'"{"a" * 32}{end}"'})[0] for end in ("", "-3"))
    assert (whole.kind, parts.kind, parts.parts) == (WHOLE, PARTS, 3)
    assert not whole.certain
    labels = Labels()
    labels.prove(WHOLE, agrees=False)
    labels.prove(WHOLE, agrees=True)
    labels.prove(WHOLE, agrees=False)
    assert labels.proved == {WHOLE: True}
