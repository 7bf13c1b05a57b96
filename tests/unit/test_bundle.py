"""A bundle is taken only as it was made: its files, its manifest, and who else can change it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ppocrlib.bundle import lists, manifest, signature
from ppocrlib.bundle.make import README, _tidy
from ppocrlib.progress import Progress

VERIFY = Path(__file__).parents[2] / "scripts/verify_bundle.py"
ZEROS = "0" * 64
HELD = {
    "image/ppocr-1.tar": "image",
    "packages/debian-bookworm.tar": "packages",
    "project/scripts/deploy": "#!/bin/sh\n",
    "project/README with blanks.md": "text",
    "wheelhouse/a-1-py3-none-any.whl": "wheel",
}


def described(**changes: Any) -> dict[str, Any]:
    """What a manifest says, without its files."""
    image = {"path": "image/ppocr-1.tar", "tag": "ppocr:1", "id": f"sha256:{ZEROS}"}
    return {
        "name": "ppocr", "version": "1", "created": "2026-01-01T00:00:00Z", "architecture": "amd64",
        "image": {**image, "content": "c", "layers": []},
        "releases": {"debian-bookworm": {"path": "packages/debian-bookworm.tar", "packages": 1}},
        "since": None, **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def key(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("key") / "release"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A signed bundle, with a blank in its path."""
    folder = tmp_path / "a bundle"
    for name, text in HELD.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = manifest.describe(folder, manifest.files_of(folder), Progress("", quiet=True))
    manifest.write(folder, {**described(), "files": files}, key)
    return folder


def verify(folder: Path, key: Path | None, *more: str, **options: Any) -> tuple[int, str]:
    """Exit status of verify_bundle.py, and what it said."""
    signed = ["--public-key", f"{key}.pub"] if key else []
    command = [sys.executable, "-IB", str(VERIFY), str(folder), "--quiet", *signed, *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def by_hand(folder: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """The commands README.txt gives for before anything of the bundle runs."""
    text = README.format(image="", tag="")
    lines = re.search(r"\n( +printf.*?&& echo proved)\n", text, re.DOTALL)
    assert lines
    script = lines[1].replace("KEY.pub", f"{key}.pub").replace("KEY.signers", f"{key}.signers")
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )


def test_as_it_was_made_it_is_taken(bundle: Path, key: Path) -> None:
    assert verify(bundle, key) == (0, f"{bundle}: 5 files as they should be, signature good\n")
    done = by_hand(bundle, key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "proved"


def _plant(name: str) -> Callable[[Path], str]:
    def plant(folder: Path) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('planted')")
        above = next(p for p in (*reversed(path.parents), path) if not _known(folder, p))
        return f"{above.relative_to(folder)}{'/' if above.is_dir() else ''} is not in the manifest"

    return plant


def _known(folder: Path, path: Path) -> bool:
    if not path.is_relative_to(folder) or path == folder:
        return True
    name = path.relative_to(folder).as_posix()
    return any(held == name or held.startswith(f"{name}/") for held in HELD)


@pytest.mark.parametrize(
    "name",
    [
        "project/scripts/json.py", "project/sitecustomize.py", "json.py", "project/ansible.pth",
        "project/scripts/__pycache__/json.cpython-311.pyc", "project/.git/hooks/post-checkout",
        "wheelhouse/ansible-99-py3-none-any.whl", "project/playbooks/collections/x.py",
        "project/.venv/bin/python", "image/other.tar", "SHA256SUMS.d/json.py", ".hidden", "a\nb",
    ],
)  # fmt: skip
def test_a_file_that_was_added_is_refused(bundle: Path, key: Path, name: str) -> None:
    words = _plant(name)(bundle)
    status, said = verify(bundle, key)
    assert status == 3
    assert words.replace("a\nb", r"'a\nb'") in said
    assert by_hand(bundle, key).returncode != 0


def _replace_by_link(name: str) -> Callable[[Path], str]:
    def replace(folder: Path) -> str:
        outside = folder.parent / "outside"
        shutil.move(folder / name, outside)
        (folder / name).symlink_to(outside)
        return f"{name} is a link"

    return replace


def _link_beside(folder: Path) -> str:
    (folder / "project/scripts/json.py").symlink_to("/dev/null")
    return "project/scripts/json.py is a link"


def _link_inside(folder: Path) -> str:
    (folder / "project/more").symlink_to("scripts")
    return "project/more is a link"


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "project/pipe")
    return "project/pipe is a named pipe"


def _pipe_for_a_file(folder: Path) -> str:
    (folder / "image/ppocr-1.tar").unlink()
    os.mkfifo(folder / "image/ppocr-1.tar")
    return "image/ppocr-1.tar is a named pipe"


def _pipe_for_the_sums(folder: Path) -> str:
    (folder / "FILES").unlink()
    os.mkfifo(folder / "FILES")
    return "FILES is a named pipe"


def _device(folder: Path) -> str:
    os.mknod(folder / "project/zero", 0o20600, os.makedev(1, 5))
    return "project/zero is a device"


def _empty_folder(folder: Path) -> str:
    (folder / "project/collections").mkdir()
    return "project/collections/ is not in the manifest"


def _folder_for_a_file(folder: Path) -> str:
    (folder / "project/scripts/deploy").unlink()
    (folder / "project/scripts/deploy").mkdir()
    return "project/scripts/deploy/ is not in the manifest"


def _sums_changed(folder: Path) -> str:
    with (folder / "FILES").open("a") as file:
        file.write("f ./project/scripts/json.py\n")
    return "FILES was altered"


@pytest.mark.parametrize(
    "change",
    [
        *map(_replace_by_link, ["image", "packages", "project", "project/scripts/deploy"]),
        _replace_by_link("image/ppocr-1.tar"),
        _link_beside, _link_inside, _pipe, _pipe_for_a_file, _pipe_for_the_sums, _device,
        _empty_folder, _folder_for_a_file, _sums_changed,
    ],
)  # fmt: skip
def test_links_and_what_is_no_file_are_refused(
    bundle: Path, key: Path, change: Callable[[Path], str]
) -> None:
    words = change(bundle)
    status, said = verify(bundle, key)
    assert status == 3
    assert words in said
    if "pipe" not in words:
        assert by_hand(bundle, key).returncode != 0


@pytest.mark.parametrize("name", ["MANIFEST.json", "MANIFEST.json.sig", "SHA256SUMS.sig"])
def test_a_link_for_what_proves_it_is_refused(bundle: Path, key: Path, name: str) -> None:
    _replace_by_link(name)(bundle)
    status, said = verify(bundle, key)
    assert status == 3
    assert f"{name} cannot be read: it is or lies behind a link" in said


def test_the_folder_itself_may_be_reached_through_a_link(bundle: Path, key: Path) -> None:
    link = bundle.with_name("link")
    link.symlink_to(bundle)
    assert verify(link, key)[0] == 0


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("", 0o777, "the folder can be written by everybody"),
        ("project/scripts", 0o757, "project/scripts can be written by everybody"),
        ("image/ppocr-1.tar", 0o646, "image/ppocr-1.tar can be written by everybody"),
        ("SHA256SUMS", 0o666, "SHA256SUMS can be written by everybody"),
        ("project/scripts/deploy", 0o4755, "project/scripts/deploy is setuid or setgid"),
    ],
)
def test_what_others_can_write_is_refused(
    bundle: Path, key: Path, name: str, mode: int, words: str
) -> None:
    (bundle / name).chmod(mode)
    status, said = verify(bundle, key)
    assert status == 3
    assert words in said


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users, which root can")
def test_whose_a_file_is_counts(bundle: Path, key: Path) -> None:
    path = bundle / "image/ppocr-1.tar"
    os.chown(path, 0, 4242)
    path.chmod(0o664)
    assert "image/ppocr-1.tar can be written by its group" in verify(bundle, key)[1]
    path.chmod(0o644)
    assert verify(bundle, key)[0] == 0
    os.chown(path, 4242, 0)
    assert "image/ppocr-1.tar belongs to another user (4242)" in verify(bundle, key)[1]
    # Root by sudo is the user who gave the command.
    assert verify(bundle, key, env={**os.environ, "SUDO_UID": "4242"})[0] == 0


def test_a_place_others_can_swap_it_in_is_refused(bundle: Path, key: Path) -> None:
    bundle.parent.chmod(0o777)
    assert "above it can be written by everybody" in verify(bundle, key)[1]
    bundle.parent.chmod(0o1777)
    assert verify(bundle, key)[0] == 0


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
    status, said = verify(bundle, key)
    assert status == 3
    assert "is no manifest of a bundle: " in said
    assert len(said) < 600
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": []}, "files is missing or of another type"),
        ({"files": {"a": None}}, "files['a'] is no object"),
        ({"files": {"a": {"sha256": "abc", "size": 1}}}, "files['a'].sha256 is no sha256"),
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
        ({"files": {"MANIFEST.json": GOOD}}, "is that of a list of the bundle's own"),
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
        ({"since": []}, "since is no object"),
        ({"since": {"created": "x", "absent": ["../x"]}}, "since.absent names what is not"),
        ({"since": {"created": "x", "absent": [], "image_delta": "/x"}}, "since.image_delta"),
        ({"format": 2}, "is of another version"),
    ],
)
def test_a_signed_manifest_that_says_what_it_cannot_is_refused(
    bundle: Path, key: Path, changes: dict[str, Any], words: str
) -> None:
    resign(bundle, key, changed(bundle, **changes))
    status, said = verify(bundle, key)
    assert status == 3
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_layer_that_is_none_is_refused(bundle: Path, key: Path) -> None:
    known = json.loads((bundle / "MANIFEST.json").read_text())["image"]
    for layers in ([None], [{}], [LAYER], [{**LAYER, "more": 1}], "x"):
        resign(bundle, key, changed(bundle, image={**known, "layers": layers}))
        status, said = verify(bundle, key)
        assert status == 3
        assert "image.layers" in said


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"ssh-ed25519", b"text of some kind"])
def test_a_public_key_that_is_none_is_refused(bundle: Path, content: bytes) -> None:
    other = bundle.with_name("key.pub")
    other.write_bytes(content)
    status, said = verify(bundle, bundle.with_name("key"))
    assert status == 3
    assert "is no SSH public key" in said


def test_only_one_of_the_signatures_is_not_enough(bundle: Path, key: Path) -> None:
    (bundle / "SHA256SUMS.sig").unlink()
    status, said = verify(bundle, key)
    assert status == 3
    assert "is not signed (SHA256SUMS.sig is missing)" in said


def incremental(bundle: Path, **since: Any) -> Path:
    """A bundle that leaves all but one file to ``bundle``."""
    folder = bundle.with_name("update")
    (folder / "project").mkdir(parents=True)
    (folder / "project/README with blanks.md").write_text("new")
    files = json.loads((bundle / "MANIFEST.json").read_text())["files"]
    quiet = Progress("", quiet=True)
    files |= manifest.describe(folder, manifest.files_of(folder), quiet)
    absent = sorted(set(files) - {"project/README with blanks.md"})
    known = {"created": "then", "image_delta": None, "absent": absent, **since}
    manifest.write(folder, {**described(), "files": files, "since": known})
    return folder


def test_two_bundles_make_a_whole_one_that_is_proved_by_hand_too(bundle: Path, key: Path) -> None:
    update, whole = incremental(bundle), bundle.with_name("whole")
    assert verify(update, None, "--complete", str(bundle), "--out", str(whole))[0] == 0
    assert verify(whole, None)[0] == 0
    listed = subprocess.run(
        ["sh", "-c", "sha256sum --check --quiet SHA256SUMS && find . -printf '%y %p\\n' "
         "| LC_ALL=C sort | diff FILES -"], cwd=whole, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stdout + listed.stderr


@pytest.mark.parametrize("name", ["../../evil", "/ppocr-test-evil"])
def test_nothing_is_written_outside_the_folder_to_make(bundle: Path, key: Path, name: str) -> None:
    update, whole = incremental(bundle), bundle.with_name("whole")
    for folder in (update, bundle):
        known = json.loads((folder / "MANIFEST.json").read_text())
        known["files"][name] = known["files"]["image/ppocr-1.tar"]
        if known["since"]:
            known["since"]["absent"].append(name)
        (folder / "MANIFEST.json").write_text(json.dumps(known))
    status, said = verify(update, None, "--complete", str(bundle), "--out", str(whole))
    assert status == 3
    assert "does not stay inside the bundle" in said
    assert not whole.exists()
    assert not (whole / name).exists()


def test_a_link_in_the_old_bundle_leads_nowhere(bundle: Path) -> None:
    update, whole = incremental(bundle), bundle.with_name("whole")
    _replace_by_link("packages")(bundle)
    status, said = verify(update, None, "--complete", str(bundle), "--out", str(whole))
    assert status == 3
    assert "lies behind a link" in said
    assert not whole.exists()


def test_modules_beside_it_are_not_imported(bundle: Path, key: Path) -> None:
    """Neither the working directory nor PYTHONPATH has a say in what is imported."""
    for name in ("json.py", "argparse.py", "pathlib.py"):
        (bundle / name).write_text("raise SystemExit('planted')")
    environment = {**os.environ, "PYTHONPATH": f":{bundle}", "PYTHONDONTWRITEBYTECODE": "1"}
    for command in ([str(VERIFY)], [sys.executable, str(VERIFY)]):
        done = subprocess.run(
            [*command, ".", "--quiet"], cwd=bundle, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "json.py is not in the manifest" in done.stderr


def test_the_lists_are_what_the_tools_print(bundle: Path) -> None:
    found = subprocess.run(
        ["sh", "-c", "find . -printf '%y %p\\n' | LC_ALL=C sort"],
        cwd=bundle, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (bundle / lists.FILES).read_text() == found.stdout


@pytest.mark.parametrize("data", ["[]", "null", '{"format": 1}', "\ud800"])
def test_a_bundle_is_not_made_since_what_is_none(tmp_path: Path, data: str) -> None:
    old = tmp_path / "MANIFEST.json"
    old.write_bytes(data.encode(errors="surrogatepass"))
    command = [sys.executable, "-IB", str(VERIFY.with_name("make_bundle.py")), "--image", "none"]
    command += ["--out", str(tmp_path / "new"), "--since", str(old), "--store", str(tmp_path / "l")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert f"{old} is no manifest of a bundle" in done.stderr


def test_what_is_made_is_its_makers_alone_whatever_the_umask(tmp_path: Path) -> None:
    for name in ("project/scripts", "packages"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project/scripts/deploy").touch()
    (tmp_path / "project/README.md").touch()
    (tmp_path / "project/scripts/deploy").chmod(0o777)
    for path in (tmp_path / "project/README.md", tmp_path / "project", tmp_path):
        path.chmod(0o777 if path.is_dir() else 0o606)
    _tidy(tmp_path)
    modes = {
        p.relative_to(tmp_path).as_posix(): p.stat().st_mode & 0o7777 for p in tmp_path.rglob("*")
    }
    assert modes == {
        "project": 0o755, "project/scripts": 0o755, "project/scripts/deploy": 0o755,
        "project/README.md": 0o644,
    }  # fmt: skip
    assert tmp_path.stat().st_mode & 0o7777 == 0o755


def test_without_ssh_keygen_it_says_so(bundle: Path, key: Path) -> None:
    status, said = verify(bundle, key, env={"PATH": str(bundle / "image"), "HOME": "/nonexistent"})
    assert status == 1
    assert "install openssh-client" in said
