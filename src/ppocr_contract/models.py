"""Inference models in the image: where they lie and whether they are whole.

Standard library only: the control node checks models with the same code before it builds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Where the image keeps det/, cls/, rec/, and in recognizers/ those that a request may choose.
MODELS_ROOT = Path("/opt/ppocr/models")
STAGES = ("det", "cls", "rec")
#: The recogniser in rec/, for requests that name none.
DEFAULT_RECOGNIZER = "default"
RECOGNIZER_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_RECOGNIZERS = "recognizers"

#: Any program file will do: Paddle 2 writes .pdmodel, Paddle 3 .json, each with parameters beside
#: it; .onnx has them in itself.
ONNX_FILE = "inference.onnx"
PROGRAM_FILES = ("inference.pdmodel", "inference.json", ONNX_FILE)
PARAMETER_FILES = ("inference.pdiparams", "inference.pdiparams.info")
DICTIONARY_FILE = "dict.txt"
#: Parameters recommended for the model: the pipeline's defaults with it.
VALUES_FILE = "params.json"
MANIFEST_FILE = "manifest.json"


class ModelError(Exception):
    """A model folder is incomplete or altered; the message lists what is wrong with it."""


def recognizer_place(name: str) -> str:
    """The folder of a recogniser, from the root of the models."""
    return "rec" if name == DEFAULT_RECOGNIZER else f"{_RECOGNIZERS}/{name}"


def stage_of(place: str) -> str:
    """The stage (det, cls or rec) of the model in a folder, from the root of the models."""
    return "rec" if place.startswith(f"{_RECOGNIZERS}/") else place


def setting_of(place: str) -> str:
    """The setting that names the model in a folder, from the root of the models."""
    folder, _, name = place.rpartition("/")
    return f"hubserving_recognizers.{name}" if folder else f"ppocr_models.{name}"


def recognizers(root: Path = MODELS_ROOT) -> tuple[str, ...]:
    """Names of the recognisers there are beside the default one."""
    return tuple(sorted(path.name for path in (root / _RECOGNIZERS).glob("*/")))


def places(root: Path = MODELS_ROOT) -> tuple[str, ...]:
    """Folders of all models, from their root."""
    return (*STAGES, *map(recognizer_place, recognizers(root)))


def missing_files(folder: Path) -> list[str]:
    """Names an inference model folder should have and does not."""
    if (folder / ONNX_FILE).is_file():
        return []
    missing = []
    if not any((folder / name).is_file() for name in PROGRAM_FILES):
        missing.append(" or ".join(PROGRAM_FILES))
    # Paddle 3 exports (.json) carry no .info file, and nothing reads it.
    needed = PARAMETER_FILES if (folder / PROGRAM_FILES[0]).is_file() else PARAMETER_FILES[:1]
    return missing + [name for name in needed if not (folder / name).is_file()]


def check_model(folder: Path) -> Path:
    """Return the folder's program file.

    Raises:
        ModelError: the folder does not exist, or files are missing (all are named).
    """
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist")
    if missing := missing_files(folder):
        raise ModelError(f"model folder {folder} lacks {', '.join(missing)}")
    return next(folder / name for name in PROGRAM_FILES if (folder / name).is_file())


def read_dictionary(path: Path) -> list[str]:
    """The characters of a dictionary, one a line.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    characters = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [character.rstrip("\r") for character in characters]


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def write_manifest(root: Path, others: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write ``root/manifest.json``: sha256 by relative path of every model file.

    Args:
        root: of the files.
        others: files that will lie beside them.
    """
    manifest = dict(others or {}) | {
        path.relative_to(root).as_posix(): file_sha256(path)
        for path in _files(root)
        if path.name != MANIFEST_FILE
    }
    (root / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return manifest


def read_manifest(root: Path = MODELS_ROOT) -> dict[str, str]:
    """sha256 by relative path of every model file.

    Raises:
        ModelError: there is no manifest.
    """
    try:
        manifest: dict[str, str] = json.loads((root / MANIFEST_FILE).read_text())
    except OSError as error:
        raise ModelError(f"no model manifest {root / MANIFEST_FILE}: {error.strerror}") from error
    return manifest


def recorded_sha256(folder: Path) -> dict[str, str]:
    """What the image's manifest says of one folder: sha256 by path in it; nothing of others."""
    if MODELS_ROOT not in folder.parents:
        return {}
    prefix = f"{folder.relative_to(MODELS_ROOT).as_posix()}/"
    return {
        name.removeprefix(prefix): sha256
        for name, sha256 in read_manifest().items()
        if name.startswith(prefix)
    }


def verify_manifest(root: Path = MODELS_ROOT) -> None:
    """Check every file the manifest names.

    Raises:
        ModelError: naming each file that is missing or altered, or the missing manifest.
    """
    wrong = []
    for name, sha256 in read_manifest(root).items():
        path = root / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif file_sha256(path) != sha256:
            wrong.append(f"{name} is not the file the image was built with")
    if wrong:
        raise ModelError(f"models in {root}: {'; '.join(wrong)}")
