"""A signature proves who wrote a manifest; what it says has to make sense besides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bundles import VERIFY, ZEROS, new_key, signed, verify

from ppocr_control.bundle import signature


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> Path:
    return new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A signed bundle, with a blank in its path."""
    return signed(tmp_path / "a bundle", key)


def resign(bundle: Path, key: Path, data: bytes) -> None:
    """Put another manifest, well signed, into a bundle."""
    (bundle / "MANIFEST.json").write_bytes(data)
    signature.sign(bundle / "MANIFEST.json", key)


def changed(bundle: Path, **changes: Any) -> bytes:
    known = json.loads((bundle / "MANIFEST.json").read_text())
    return json.dumps({**known, **changes}).encode()


GOOD = {"sha256": ZEROS, "size": 1}
LAYER = {"diff_id": f"sha256:{ZEROS}", "codec": "gzip", "digest": "x", "size": 1, "raw_size": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"[]", b"null", b"{}", b"", b"1", b'"text"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"not json",
        b'{"format": 1}', b'{"format": 1, "files": {}}', b'{"format": true}', b'{"format": [[]]}',
        b'{"format": 1, "format": 1}', b'{"format": NaN}', b'{"format": ' + b"9" * 5000 + b"}",
        b"[" * 100_000, b'{"a":' * 50_000, b'"' + b"x" * (17 << 20) + b'"',
    ],
    ids=range(19),
)  # fmt: skip
def test_a_signed_manifest_that_is_none_is_refused(bundle: Path, key: Path, data: bytes) -> None:
    resign(bundle, key, data)
    status, output = verify(bundle, key)
    assert status == 3
    assert "is no manifest of a bundle: " in output
    assert len(output) < 600
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": []}, "files is missing or of another type"),
        ({"files": {"a": None}}, "files['a'] is not an object"),
        ({"files": {"a": {"sha256": "abc", "size": 1}}}, "files['a'].sha256 is not a sha256"),
        ({"files": {"a": {"sha256": ZEROS, "size": "1"}}}, "files['a'].size is missing"),
        ({"files": {"a": {"sha256": ZEROS, "size": -1}}}, "files['a'].size is below zero"),
        ({"files": {"/etc/passwd": GOOD}}, "'/etc/passwd' does not stay inside"),
        ({"files": {"a/../../b": GOOD}}, "'a/../../b' does not stay inside"),
        ({"files": {"./a": GOOD}}, "'./a' does not stay inside"),
        ({"files": {"a//b": GOOD}}, "'a//b' does not stay inside"),
        ({"files": {"": GOOD}}, "'' does not stay inside"),
        ({"files": {"a\nb": GOOD}}, r"'a\nb' has a backslash or cannot be printed"),
        ({"files": {"a\x00b": GOOD}}, r"'a\x00b' has a backslash"),
        ({"files": {"\ud800": GOOD}}, r"'\ud800' has a backslash"),
        ({"files": {"a\\b": GOOD}}, "has a backslash"),
        ({"files": {"x" * 300: GOOD}}, "a file name has more than 240 characters"),
        ({"files": {"MANIFEST.json": GOOD}}, "is reserved for the bundle"),
        ({"files": {"README": GOOD, "readme": GOOD}}, "'README' and 'readme' exclude each other"),
        ({"files": {"e\u0301": GOOD, "\u00e9": GOOD}}, "exclude each other"),
        ({"files": {"a/b": GOOD, "A/c": GOOD}}, "'a' and 'A' exclude each other"),
        ({"files": {"a": GOOD, "a/b": GOOD}}, "exclude each other"),
        ({"image": None}, "image is missing or of another type"),
        ({"image": {"path": "/etc/passwd"}}, "image.tag is missing"),
        ({"version": 1}, "version is missing or of another type"),
        ({"created": "a\nb"}, "created has characters that cannot be printed"),
        ({"releases": {"debian-bookworm": {"path": "../x"}}}, "path is not among its files"),
        ({"releases": []}, "releases is missing or of another type"),
        ({"since": []}, "since is not an object"),
        ({"since": {"created": "x", "absent": ["../x"]}}, "since.absent names what is not"),
        ({"since": {"created": "x", "absent": [], "image_delta": "/x"}}, "since.image_delta"),
        ({"format": 2}, "is of another version"),
    ],
)
def test_a_signed_manifest_that_says_what_it_cannot_is_refused(
    bundle: Path, key: Path, changes: dict[str, Any], words: str
) -> None:
    resign(bundle, key, changed(bundle, **changes))
    status, output = verify(bundle, key)
    assert status == 3
    assert words in output
    assert len(output.splitlines()) == 1


def test_a_layer_that_is_none_is_refused(bundle: Path, key: Path) -> None:
    known = json.loads((bundle / "MANIFEST.json").read_text())["image"]
    for layers in ([None], [{}], [LAYER], [{**LAYER, "more": 1}], "x"):
        resign(bundle, key, changed(bundle, image={**known, "layers": layers}))
        status, output = verify(bundle, key)
        assert status == 3
        assert "image.layers" in output


@pytest.mark.parametrize("data", ["[]", "null", '{"format": 1}', "\ud800"])
def test_a_bundle_is_not_made_since_what_is_none(tmp_path: Path, data: str) -> None:
    old = tmp_path / "MANIFEST.json"
    old.write_bytes(data.encode(errors="surrogatepass"))
    command = [sys.executable, "-IB", str(VERIFY.with_name("make_bundle.py")), "--image", "none"]
    command += ["--out", str(tmp_path / "new"), "--since", str(old), "--store", str(tmp_path / "l")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert f"{old} is no manifest of a bundle" in done.stderr
