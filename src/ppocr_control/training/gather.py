"""Brings together what a run is trained with: from folders, archives, git and the web."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppocr_training.job import Places

from .. import downloads
from ..errors import Error, Refused
from ..files import file_sha256
from ..tarfiles import DAMAGED, without_owner_and_time

_GIT = re.compile(r"(https?|ssh|git|file)://.+|[\w.-]+@[\w.-]+:.+|.+\.git/?")
_BEST = "best_accuracy.pdparams"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The settings that name files; empty texts for what is not used.

    Attributes:
        source: PaddleOCR checkout: folder, archive or git URL.
        source_version: branch, tag or commit, with a git URL.
        data: data set: folder or archive.
        dictionary: file of characters.
        pretrained: weights: a ``.pdparams`` file, a folder or archive with one, or a URL.
        pretrained_sha256: needed with a URL.
        exported: folder of a model that was exported elsewhere.
    """

    source: str
    data: str
    source_version: str = ""
    dictionary: str = ""
    pretrained: str = ""
    pretrained_sha256: str = ""
    exported: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Wanted:
        return cls(**{field.name: values.get(field.name, "") for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class Gathered:
    """Everything as files of this machine, and the checkout's commit where it is known."""

    places: Places
    commit: str
    exported: Path | None


def gather(wanted: Wanted, work: Path) -> Gathered:
    """Make everything a file or folder of this machine; ``work`` keeps what had to be fetched.

    Raises:
        Refused: a setting names nothing that can be used.
        Error: git or the web did not answer.
    """
    work.mkdir(parents=True, exist_ok=True)
    if _is_git(wanted.source):
        source = _cloned(wanted.source, wanted.source_version, work)
    else:
        source = _folder("trainer_source", wanted.source, work)
    places = Places(
        source,
        _folder("trainer_data", wanted.data, work),
        _file("trainer_dictionary", wanted.dictionary) if wanted.dictionary else None,
        _weights(wanted, work) if wanted.pretrained else None,
    )
    exported = _folder("trainer_exported", wanted.exported, work) if wanted.exported else None
    return Gathered(places, _commit(source), exported)


def pack(gathered: Gathered, work: Path) -> dict[str, dict[str, str]]:
    """Write what a host gets to ``work``: {part: its path and sha256}."""
    packed: dict[str, Path] = {}
    for part, folder in (
        ("source", gathered.places.source),
        ("data", gathered.places.data),
        ("exported", gathered.exported),
    ):
        if folder:
            packed[part] = work / f"{part}.tar"
            _tar(folder, packed[part])
    for part, file in (
        ("dictionary", gathered.places.dictionary),
        ("weights", gathered.places.pretrained),
    ):
        if file:
            packed[part] = file
    return {part: {"path": str(path), "sha256": file_sha256(path)} for part, path in packed.items()}


def _tar(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w", dereference=True) as tar:
        for path in sorted(_files(folder)):
            inside = path.relative_to(folder)
            if path.is_file() and not {".git", "__pycache__"} & set(inside.parts):
                tar.add(path, inside.as_posix(), filter=without_owner_and_time)


def _files(folder: Path) -> Iterator[Path]:
    """All below a folder, by way of links too, but none that lead back up."""
    for name, folders, files in os.walk(folder, followlinks=True):
        above = Path(name)
        folders[:] = [
            each for each in folders if not above.resolve().is_relative_to((above / each).resolve())
        ]
        yield from (above / each for each in files)


def _is_git(source: str) -> bool:
    return bool(_GIT.fullmatch(source)) and not Path(source).expanduser().exists()


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError as error:
        raise Refused("trainer_source is a git URL, and git is not installed here") from error
    except subprocess.CalledProcessError as error:
        raise Error(f"trainer_source: {' '.join(command)}: {error.stderr.strip()}") from error


def _cloned(url: str, version: str, work: Path) -> Path:
    folder = work / f"source-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    if not (folder / ".git").is_dir():
        part = folder.with_suffix(".part")
        for each in (folder, part):
            shutil.rmtree(each, ignore_errors=True)
        _git("clone", "--quiet", url, str(part))
        part.rename(folder)
    at = ["-C", str(folder)]
    _git(*at, "fetch", "--quiet", "--tags", "origin")
    for name in (f"origin/{version or 'HEAD'}", version):
        try:
            _git(*at, "checkout", "--quiet", "--force", "--detach", name)
            return folder
        except Error:
            continue
    raise Refused(f"trainer_source_version: {url} has no branch, tag or commit {version!r}")


def _commit(source: Path) -> str:
    try:
        found = _git("-C", str(source), "describe", "--always", "--dirty", "--abbrev=40")
        inside = _git("-C", str(source), "rev-parse", "--show-toplevel")
    except Error:
        return ""
    return found if Path(inside) == source.resolve() else ""


def _file(setting: str, given: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_file():
        raise Refused(f"{setting}: there is no file {path}")
    return path


def _folder(setting: str, given: str, work: Path) -> Path:
    """A folder, or what is in an archive: without a folder around all of it."""
    path = Path(given).expanduser()
    if path.is_dir():
        return path
    target = work / f"{setting}-{file_sha256(_file(setting, given))[:12]}"
    if not target.is_dir():
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            if tarfile.is_tarfile(path):
                with tarfile.open(path) as tar:
                    tar.extractall(part, filter="data")
            else:
                shutil.unpack_archive(path, part, "zip")
        except DAMAGED as error:
            what = "no folder, and no tar or zip that is whole"
            raise Refused(f"{setting}: {path} is {what}: {error}") from error
        part.rename(target)
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _weights(wanted: Wanted, work: Path) -> Path:
    setting, given = "trainer_pretrained", wanted.pretrained
    if re.match("https?://", given):
        given = str(_fetched(given, wanted.pretrained_sha256, work))
    path = Path(given).expanduser()
    for file in (path, path.with_name(f"{path.name}.pdparams")):
        if file.is_file() and not tarfile.is_tarfile(file):
            return file
    folder = _folder(setting, given, work)
    found = sorted(folder.rglob(_BEST)) or sorted(folder.rglob("*.pdparams"))
    if len(found) != 1:
        raise Refused(
            f"{setting}: {path} has {len(found)} files of weights ({_BEST} or *.pdparams): name one"
        )
    return found[0]


def _fetched(url: str, sha256: str, work: Path) -> Path:
    if not re.fullmatch("[0-9a-f]{64}", sha256.lower()):
        raise Refused("trainer_pretrained is a URL: set trainer_pretrained_sha256 (sha256sum)")
    file = work / f"weights-{sha256.lower()[:12]}"
    try:
        return downloads.cached(
            file, sha256.lower(), url, functools.partial(downloads.download, url)
        )
    except Error as error:
        raise type(error)(f"trainer_pretrained, trainer_pretrained_sha256: {error}") from error
