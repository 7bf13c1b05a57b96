"""config.json of PaddleHub Serving: read, checked, put in order.

Standard library only: Ansible checks an operator's config.json with the same code.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

#: What ``init_args`` of our modules may hold.
INIT_ARGS = {"version": str, "use_gpu": bool, "enable_mkldnn": bool, "engine": str}
OCR_MODULES = ("ocr_system", "ocr_det", "ocr_cls", "ocr_rec")
#: Takes texts, and is served only where it is asked for.
TEXT_MODULE = "text_correction"
OUR_MODULES = (*OCR_MODULES, TEXT_MODULE)
ENGINES = ("openvino", "onnxruntime", "paddle")


def default_engine(use_gpu: bool) -> str:
    """The engine of modules that name none."""
    return "onnxruntime" if use_gpu else "openvino"


_TOP_LEVEL = {"modules_info", "port", "use_multiprocess", "workers"}
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|#[^\n]*')


class ConfigError(ValueError):
    """config.json cannot be served as it is; the message names the key and the remedy."""


@dataclasses.dataclass(frozen=True)
class ServingConfig:
    """A checked config.json.

    Attributes:
        data: what PaddleHub may be given as it is (no comments, rules applied).
        notes: things the operator should know, one sentence each.
    """

    data: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def port(self) -> int:
        return int(self.data["port"])

    @property
    def modules(self) -> dict[str, dict[str, Any]]:
        return dict(self.data["modules_info"])

    @property
    def uses_gpu(self) -> bool:
        """Whether any module runs on a GPU."""
        return any(info["init_args"].get("use_gpu") for info in self.modules.values())

    @property
    def gpu_engines(self) -> set[str]:
        """The engines of modules on a GPU: one, or none."""
        return _gpu_engines(self.modules)


def _gpu_engines(modules: dict[str, dict[str, Any]]) -> set[str]:
    # What an operator's own module that names no engine computes with, nobody knows.
    return {
        info["init_args"].get("engine") or default_engine(True)
        for name, info in modules.items()
        if info["init_args"].get("use_gpu")
        and (name in OUR_MODULES or info["init_args"].get("engine"))
    }


def _parse(text: str) -> Any:
    # The guide prints config.json with "#" comments, which JSON does not know: take them out,
    # outside strings only, leaving line and column of everything else as they were.
    plain = _COMMENT.sub(lambda match: match.group(1) or "", text.removeprefix("\ufeff"))
    try:
        return json.loads(plain)
    except RecursionError as error:
        raise ConfigError("config.json is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"config.json is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _checked_module(name: str, info: Any, notes: list[str]) -> dict[str, Any]:
    _require(isinstance(info, dict), f"modules_info.{name} is not an object")
    for part in ("init_args", "predict_args"):
        _require(
            isinstance(info.get(part) or {}, dict),
            f"modules_info.{name}.{part} is not an object: write {{}} where it holds nothing",
        )
    init_args = dict(info.get("init_args") or {})
    predict_args = dict(info.get("predict_args") or {})
    if name in OUR_MODULES:
        for key, value in init_args.items():
            known = ", ".join(INIT_ARGS)
            _require(key in INIT_ARGS, f"modules_info.{name}.init_args.{key}: known are {known}")
            _require(
                isinstance(value, INIT_ARGS[key]),
                f"modules_info.{name}.init_args.{key}: {value!r} is not {INIT_ARGS[key].__name__}: "
                f"write {'true or false' if INIT_ARGS[key] is bool else 'text in quotes'}",
            )
        engine = init_args.get("engine", ENGINES[0])
        _require(
            engine in ENGINES,
            f"modules_info.{name}.init_args.engine: {engine!r} is not one of {', '.join(ENGINES)}",
        )
        _require(
            not (init_args.get("use_gpu") and init_args.get("engine") == "openvino"),
            f"modules_info.{name}.init_args: use_gpu with engine openvino, which serves on the "
            "CPU: leave engine out, or set use_gpu to false",
        )
        _require(not predict_args, f"modules_info.{name}.predict_args: {name} takes none, use {{}}")
    if init_args.get("use_gpu") and init_args.get("enable_mkldnn"):
        init_args["enable_mkldnn"] = False
        notes.append(f"{name}: use_gpu and enable_mkldnn are both true: the GPU is used")
    return {**info, "init_args": init_args, "predict_args": predict_args}


def check(text: str) -> ServingConfig:
    """Check the text of a config.json.

    Raises:
        ConfigError: at the first rule it breaks.
    """
    data = _parse(text)
    _require(isinstance(data, dict), "config.json is not a JSON object")
    _require(
        "use_gpu" not in data,
        "config.json: use_gpu at the top level selects a mode of PaddleHub that cannot serve the "
        "OCR modules: set modules_info.<module>.init_args.use_gpu instead",
    )
    unknown = sorted(set(data) - _TOP_LEVEL)
    _require(not unknown, f"config.json: unknown {', '.join(unknown)}; known: {sorted(_TOP_LEVEL)}")
    modules = data.get("modules_info")
    _require(isinstance(modules, dict) and bool(modules), "config.json: modules_info names none")
    notes: list[str] = []
    checked = {name: _checked_module(name, info, notes) for name, info in modules.items()}

    multiprocess = data.get("use_multiprocess", False)
    _require(isinstance(multiprocess, bool), "config.json: use_multiprocess is not true or false")
    on_gpu = [name for name, info in checked.items() if info["init_args"].get("use_gpu")]
    _require(
        not (multiprocess and on_gpu),
        f"config.json: use_gpu ({', '.join(on_gpu)}) and use_multiprocess exclude each other: "
        "set one of them to false",
    )
    port = data.get("port", 8866)
    _require(
        type(port) is int and 0 < port < 65536, f"config.json: port {port!r} is not 1 to 65535"
    )
    workers = data.get("workers")
    _require(
        workers is None or (type(workers) is int and workers > 0),
        f"config.json: workers {workers!r} is not a positive number",
    )
    if workers is not None and not multiprocess:
        notes.append("workers has no effect without use_multiprocess")
    _require(
        len(_gpu_engines(checked)) < 2,
        "config.json: engine is paddle for one module on a GPU and not for another, and the image "
        "for GPUs carries one engine: set the same for all",
    )
    return ServingConfig({**data, "port": port, "modules_info": checked}, tuple(notes))


def load(path: Path) -> ServingConfig:
    """Read and check the file.

    Raises:
        ConfigError: it cannot be read, or breaks a rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: save it in UTF-8") from error
    return check(text)
