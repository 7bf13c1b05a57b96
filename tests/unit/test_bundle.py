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
from bundles import HELD, VERIFY, described, new_key, signed, verify

from ppocr_control.bundle import lists, manifest
from ppocr_control.bundle.make import README, _tidy
from ppocr_control.progress import Progress


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> Path:
    return new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A signed bundle, with a blank in its path."""
    return signed(tmp_path / "a bundle", key)


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
    status, output = verify(bundle, key)
    assert status == 3
    assert words.replace("a\nb", r"'a\nb'") in output
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
    status, output = verify(bundle, key)
    assert status == 3
    assert words in output
    if "pipe" not in words:
        assert by_hand(bundle, key).returncode != 0


@pytest.mark.parametrize("name", ["MANIFEST.json", "MANIFEST.json.sig", "SHA256SUMS.sig"])
def test_a_link_for_what_proves_it_is_refused(bundle: Path, key: Path, name: str) -> None:
    _replace_by_link(name)(bundle)
    status, output = verify(bundle, key)
    assert status == 3
    assert f"{name} cannot be read: it is or lies behind a link" in output


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
    status, output = verify(bundle, key)
    assert status == 3
    assert words in output


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


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"ssh-ed25519", b"text of some kind"])
def test_a_public_key_that_is_none_is_refused(bundle: Path, content: bytes) -> None:
    other = bundle.with_name("key.pub")
    other.write_bytes(content)
    status, output = verify(bundle, bundle.with_name("key"))
    assert status == 3
    assert "is not an SSH public key" in output


def test_only_one_of_the_signatures_is_not_enough(bundle: Path, key: Path) -> None:
    (bundle / "SHA256SUMS.sig").unlink()
    status, output = verify(bundle, key)
    assert status == 3
    assert "is not signed (SHA256SUMS.sig is missing)" in output


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
    status, output = verify(update, None, "--complete", str(bundle), "--out", str(whole))
    assert status == 3
    assert "does not stay inside the bundle" in output
    assert not whole.exists()
    assert not (whole / name).exists()


def test_a_link_in_the_old_bundle_leads_nowhere(bundle: Path) -> None:
    update, whole = incremental(bundle), bundle.with_name("whole")
    _replace_by_link("packages")(bundle)
    status, output = verify(update, None, "--complete", str(bundle), "--out", str(whole))
    assert status == 3
    assert "lies behind a link" in output
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
    status, output = verify(
        bundle, key, env={"PATH": str(bundle / "image"), "HOME": "/nonexistent"}
    )
    assert status == 1
    assert "install openssh-client" in output
