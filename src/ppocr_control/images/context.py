"""The build context of the ppocr image, and the hash of what goes into it.

The hash (label ``org.ppocr.content``) is computed from sources alone, so whether a host already has
the image is known before anything is fetched or built.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from ppocr_contract.models import file_sha256

from .. import IMAGES, ROOT, git
from .. import version as project_version
from ..errors import Refused
from . import hub_modules, image_name, models

#: The package the image shares with this one.
CONTRACT = ROOT / "src/ppocr_contract"
#: The suite images/base bootstraps: its Python is the one the lock was made for.
BASE_SUITE = "bookworm"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


class ContextError(Exception):
    """The context cannot be made; the message names the setting."""


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """What decides the content of an image.

    Attributes:
        device: cpu or gpu; chooses the lock.
        name: repository of the image; not part of the content.
        version: image tag and OCI version.
        base: name of a base image; empty to bootstrap one.
        models: see :mod:`ppocr_control.images.models`.
        extra_modules: folders of PaddleHub modules to install besides ours; one named as one of
            ours is installed in its place.
        extra_requirements: pip requirements for them, besides their own requirements.txt.
        ca_bundle: trusted while building; not part of the content.
    """

    device: str = "cpu"
    name: str = "ppocr"
    version: str = dataclasses.field(default_factory=project_version.current)
    base: str = ""
    models: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra_modules: tuple[str, ...] = ()
    extra_requirements: tuple[str, ...] = ()
    ca_bundle: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageSettings:
        known = {field.name for field in dataclasses.fields(cls)}
        settings = cls(**{key: value for key, value in values.items() if key in known})
        try:
            image_name.for_new(f"{settings.name}:{settings.version}")
        except Refused as error:
            raise ContextError(f"ppocr_image_name, ppocr_image_tag: {error}") from error
        try:
            hub_modules.theirs(settings.extra_modules)
        except hub_modules.ModuleError as error:
            raise ContextError(str(error)) from error
        if settings.ca_bundle and not Path(settings.ca_bundle).is_file():
            raise ContextError(f"ppocr_ca_bundle: {settings.ca_bundle} does not exist")
        return settings

    @property
    def lock(self) -> Path:
        name = "requirements.lock" if self.device == "cpu" else f"requirements.{self.device}.lock"
        path = IMAGES / "ppocr" / name
        if not path.is_file():
            raise ContextError(f"ppocr_device: no image is defined for {self.device!r}")
        return path


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )


def _digest(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in _files(folder)}


def base_tag(settings: ImageSettings) -> str:
    """The base image's name: the operator's, or one that changes with the recipe."""
    if settings.base:
        return settings.base
    return f"ppocr-base:{BASE_SUITE}-{_digest(_tree(IMAGES / 'base'))[:12]}"


def content_hash(settings: ImageSettings) -> str:
    """sha256 over everything that decides what the image does."""
    recipe = IMAGES / "ppocr"
    named = ("Dockerfile", "config.json", "ppocr.pth")
    return _digest(
        {
            "base": base_tag(settings),
            "version": settings.version,
            "recipe": {name: file_sha256(recipe / name) for name in named},
            "lock": file_sha256(settings.lock),
            "build": _tree(recipe / "build"),
            "serving": _tree(recipe / "serving"),
            "contract": _tree(CONTRACT),
            "modules": {
                name: _tree(folder)
                for name, folder in hub_modules.all_of(settings.extra_modules).items()
            },
            "extra_requirements": settings.extra_requirements,
            "models": models.fingerprint(models.resolve(settings.models)),
        }
    )


def revision() -> str:
    """The commit of this repository, ``unknown`` outside git."""
    described = git.output("describe", "--always", "--dirty", "--abbrev=40")
    return described.decode().strip() or "unknown"


def write(settings: ImageSettings, target: Path, cache: Path) -> None:
    """Lay the context out in ``target``, a new folder.

    Raises:
        ContextError: a setting cannot be served.
        ModelError: a model cannot be had or is incomplete.
    """
    recipe = IMAGES / "ppocr"
    target.mkdir(parents=True)
    for name in ("Dockerfile", "config.json", "ppocr.pth"):
        shutil.copyfile(recipe / name, target / name)
    shutil.copyfile(settings.lock, target / "requirements.lock")
    for name in ("build", "serving"):
        shutil.copytree(recipe / name, target / name, ignore=_IGNORED)
    shutil.copytree(CONTRACT, target / "serving" / CONTRACT.name, ignore=_IGNORED)
    for name, folder in hub_modules.all_of(settings.extra_modules).items():
        shutil.copytree(folder, target / "modules" / name, ignore=_IGNORED)
    wanted = [*settings.extra_requirements, *hub_modules.requirements(settings.extra_modules)]
    (target / "extra-requirements.txt").write_text("\n".join(wanted))
    bundle = target / "build/ca-bundle.crt"
    bundle.write_bytes(Path(settings.ca_bundle).read_bytes() if settings.ca_bundle else b"")
    models.lay_out(models.resolve(settings.models), target / "models", cache)
    for path in (target, *target.rglob("*")):
        # The umask of whoever builds must not decide what the container's user may read.
        path.chmod(0o755 if path.is_dir() else 0o644)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    # Owner and time of whoever builds are not content: with them left out an unchanged file is an
    # unchanged layer.
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def pack(folder: Path, archive: Path) -> None:
    """Write ``folder`` as a tar whose bytes depend on its files alone."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_plain)
