"""Removes from an image what the service does not need and an intruder could use.

Runs in the Dockerfile as root with the base's Python, standard library only, on whatever base was
given: strips files of the bits and capabilities that let a user become another one, and removes
package managers, Perl, and pip.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

#: Programs, by pattern of their names.
PROGRAMS = (
    "apt", "apt-*", "dpkg", "dpkg-*", "debconf*", "perl", "perl5*", "cpan*", "pip", "pip[0-9]*",
    "rpm", "rpm[a-z2]*", "dnf*", "microdnf", "yum*", "zypper", "apk", "conda", "mamba",
)  # fmt: skip
#: Where programs lie, and what runs them besides: Perl's own files, apt's and dpkg's.
FOLDERS = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "bin", "sbin", "opt/*/bin")
LIBRARIES = (
    "usr/lib/apt", "usr/lib/dpkg", "usr/lib/*/perl*", "usr/share/perl*",
    "usr/local/share/perl*", "usr/local/lib/*/perl*", "etc/apt", "usr/share/python-wheels",
)  # fmt: skip
#: What Python brings to install packages with.
PYTHON = ("ensurepip", "pip", "pip-*.dist-info", "setuptools", "setuptools-*.dist-info",
          "pkg_resources", "_distutils_hack", "distutils-precedence.pth", "wheel",
          "wheel-*.dist-info")  # fmt: skip


def remove(path: Path) -> None:
    """Remove a file, link or folder that may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def programs(root: Path) -> list[Path]:
    return [
        path
        for folder in FOLDERS
        for found in root.glob(folder)
        if not found.is_symlink()
        for path in found.iterdir()
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in PROGRAMS)
    ]


def python_folders() -> set[Path]:
    """Where the base's Python looks for modules."""
    named = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    return {Path(folder) for folder in (*named, *sys.path) if folder and Path(folder).is_dir()}


def strip(root: Path) -> None:
    """Remove setuid and setgid bits and capabilities from every file of this file system."""
    device = root.stat().st_dev
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.lstat(Path(folder, name)).st_dev == device]
        for name in names:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                continue
            if mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))
            with contextlib.suppress(OSError):  # almost every file has none
                os.removexattr(path, "security.capability")


def main(root: Path = Path("/")) -> None:
    for path in programs(root):
        remove(path)
    for pattern in LIBRARIES:
        for path in root.glob(pattern):
            remove(path)
    for folder in python_folders():
        for pattern in PYTHON:
            for path in folder.glob(pattern):
                remove(path)
    strip(root)


if __name__ == "__main__":
    main()
