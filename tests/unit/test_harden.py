"""What is taken out of a base, whoever made it."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "images/ppocr/build/harden.py"


@pytest.fixture
def harden(monkeypatch):
    spec = importlib.util.spec_from_file_location("harden", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "python_folders", set)  # this machine's own
    return module


def program(root, name, mode=0o755):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    path.chmod(mode)
    return path


GONE = ["usr/bin/apt-get", "usr/bin/dpkg-deb", "usr/bin/perl5.36.0", "usr/local/bin/pip3.11",
        "usr/bin/rpm", "usr/bin/rpmkeys", "usr/sbin/dpkg-preconfigure", "opt/conda/bin/conda",
        "usr/lib/x86_64-linux-gnu/perl-base/IO.pm", "usr/lib/apt/methods/http"]  # fmt: skip
KEPT = ["usr/bin/python3", "usr/bin/openssl", "usr/bin/rm", "usr/bin/pipe", "usr/sbin/ldconfig",
        "usr/bin/tar", "var/lib/dpkg/status", "usr/lib/apache/x"]  # fmt: skip


def test_package_managers_and_perl_go_and_the_rest_stays(harden, tmp_path):
    for name in (*GONE, *KEPT):
        program(tmp_path, name)
    (tmp_path / "bin").symlink_to("usr/bin")
    harden.main(tmp_path)
    assert not [name for name in GONE if (tmp_path / name).exists()]
    assert not [name for name in KEPT if not (tmp_path / name).exists()]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755, 0o4711])
def test_bits_are_stripped_and_the_file_stays(harden, tmp_path, mode):
    path = program(tmp_path, "usr/bin/su", mode)
    harden.main(tmp_path)
    assert path.stat().st_mode & 0o7777 == mode & 0o777


def test_a_link_is_not_followed_out_of_the_root(harden, tmp_path):
    outside = program(tmp_path, "outside", 0o4755)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    harden.main(root)
    assert outside.stat().st_mode & 0o4000


def test_what_python_installs_with_goes(harden, tmp_path, monkeypatch):
    folder = tmp_path / "usr/lib/python3.11"
    for name in (
        "ensurepip/__init__.py",
        "pip-23.0.1.dist-info/RECORD",
        "setuptools/x.py",
        "json/x.py",
    ):
        program(folder, name)
    monkeypatch.setattr(harden, "python_folders", lambda: {folder})
    harden.main(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["json"]
