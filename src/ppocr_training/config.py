"""A config of PaddleOCR's, its overrides, and the one ``-o`` they become."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .findings import Finding

#: Keys of Global that PaddleOCR's tools read and many configs leave out.
_OPTIONAL = {
    *("amp_custom_black_list", "amp_custom_white_list", "amp_dtype", "amp_level"),
    *("cal_metric_during_train", "character_dict_path", "checkpoints", "distributed"),
    *("eval_batch_epoch", "export_with_pir", "find_unused_parameters", "infer_img"),
    *("log_smooth_window", "max_text_length", "model_type", "pretrained_model"),
    *("print_batch_step", "save_epoch_step", "save_inference_dir", "save_res_path", "scale_loss"),
    *("seed", "use_amp", "use_dynamic_loss_scaling", "use_gpu", "use_space_char", "use_sync_bn"),
    *("use_visualdl", "uniform_output_enabled"),
}
OPTIONAL = frozenset(f"Global.{name}" for name in _OPTIONAL)


class ConfigError(Exception):
    """A config cannot be read; the message names the file."""


def load(path: Path) -> dict[str, Any]:
    """Read a config of the checkout.

    Raises:
        ConfigError: there is none, or it is no mapping of YAML.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("Global"), dict):
        raise ConfigError(f"{path} is no config of PaddleOCR: it has no mapping Global")
    return config


def value(config: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """The value of a dotted key."""
    found: Any = config
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return default
        found = found[part]
    return default if found is None else found


def keys(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key, of mappings too."""
    for name, inner in config.items():
        yield f"{prefix}{name}"
        if isinstance(inner, Mapping):
            yield from keys(inner, f"{prefix}{name}.")


def merged(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config with dotted overrides, as PaddleOCR's tools merge them."""
    result: dict[str, Any] = {
        name: merged(inner, {}) if isinstance(inner, Mapping) else inner
        for name, inner in config.items()
    }
    for key, new in overrides.items():
        *above, last = key.split(".")
        place = result
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = new
    return result


def check_overrides(
    config: Mapping[str, Any], overrides: Mapping[str, Any], reserved: Mapping[str, str]
) -> Iterator[Finding]:
    """Refuse what PaddleOCR's tools would silently accept.

    Args:
        config: the base config.
        overrides: dotted keys and their values.
        reserved: keys that a setting of its own gives, and its name.
    """
    known = {*keys(config), *OPTIONAL}
    for key, new in overrides.items():
        where = f"trainer_overrides, {key!r}"
        if key in reserved:
            yield Finding(
                "override", where, "another setting gives this key", f"set {reserved[key]}",
                fatal=True,
            )  # fmt: skip
        elif key not in known:
            near = difflib.get_close_matches(key, sorted(known), 1, 0.0)
            yield Finding(
                "override", where, "the config has no such key, and the tools would ignore it",
                f"write {near[0]}" if near else "remove it", fatal=True,
            )  # fmt: skip
        elif "=" in as_text(new):
            yield Finding(
                "override", where, "the tools end at a value with = in it",
                "put it into a copy of the config, and name that in trainer_config", fatal=True,
            )  # fmt: skip


def as_text(given: Any) -> str:
    """A value as it stands behind ``=`` in an ``-o``: YAML on one line."""
    text = yaml.safe_dump(given, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def arguments(overrides: Mapping[str, Any]) -> list[str]:
    """The one ``-o``: PaddleOCR's tools take the last alone and drop those before."""
    given = [f"{key}={as_text(new)}" for key, new in overrides.items()]
    return ["-o", *given] if given else []
