"""Names that users have written down: in inventories, scripts, clients, dashboards and monitoring.

    python -m tests.public_names      adds new names to tests/unit/public_names.json, removes none

A name in that list goes on working. What is renamed takes the old name too, and says the new one.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

ROOT = Path(__file__).resolve().parents[1]
LISTED = ROOT / "tests/unit/public_names.json"
SERVER = ROOT / "images/ppocr/serving/ppocr_serving/server"
#: Variables by which this project's own processes talk to each other.
_INTERNAL = {"PPOCR_AGAIN", "PPOCR_ENTERED", "PPOCR_LISTEN_FDS", "PPOCR_LOCK", "PPOCR_PARENT"}
_PARTS_OF_THE_IMAGE = ("/opt/ppocr/venv/", "/opt/ppocr/layers")
#: Commands whose command line is read elsewhere than in ppocr_control.commands.
_ELSEWHERE = {
    "bench": "tests.bench.__main__",
    "lab": "hostlab.__main__",
    "test": "tests.run",
}


def _setting_names(settings: Iterable[dict[str, Any]], before: str = "") -> Iterator[str]:
    for setting in settings:
        if "name" in setting:
            yield before + setting["name"]
            yield from _setting_names(setting.get("options") or [], f"{before}{setting['name']}.")


def settings() -> Iterator[str]:
    """Settings of roles, options of their entries, and those of entry points for other roles."""
    for path in ROOT.glob("roles/*/settings.yml"):
        role = yaml.safe_load(path.read_text(encoding="utf-8"))
        for settings in (role.get("settings"), role.get("shared")):
            yield from _setting_names(settings or [])
        for name, entry in (role.get("entry_points") or {}).items():
            yield f"{path.parent.name}, entry point {name}"
            yield from _setting_names(entry.get("settings") or [])


def scripts() -> Iterator[str]:
    yield from (f"scripts/{path.name}" for path in ROOT.glob("scripts/*") if path.is_file())


def playbooks() -> Iterator[str]:
    paths = [*ROOT.glob("*.yml"), *ROOT.glob("playbooks/*.yml")]
    yield from (path.relative_to(ROOT).as_posix() for path in paths if path.name[0] != ".")


def _tags(tasks: Any) -> Iterator[str]:
    for task in tasks if isinstance(tasks, list) else []:
        tags = task.get("tags") or []
        yield from [tags] if isinstance(tags, str) else tags
        for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "roles"):
            yield from _tags([each for each in task.get(key) or [] if isinstance(each, dict)])


def tags() -> Iterator[str]:
    """Of playbooks and roles, for --tags and --skip-tags."""
    for pattern in ("playbooks/*.yml", "roles/*/tasks/*.yml"):
        for path in ROOT.glob(pattern):
            tasks = yaml.safe_load(path.read_text(encoding="utf-8"))
            yield from (tag for tag in _tags(tasks) if tag not in ("always", "never"))


class _Seen(BaseException):
    """The parser a command has made."""


def _parser(module: Any) -> argparse.ArgumentParser:
    def see(self: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise _Seen(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", see):
        try:
            module.main()
        except _Seen as seen:
            parser: argparse.ArgumentParser = seen.args[0]
            return parser
    raise AssertionError(f"{module.__name__} has read no command line")


def _options(parser: argparse.ArgumentParser, command: str) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield f"{command} {name}"
                yield from _options(sub, f"{command} {name}")
            continue
        names = [name for name in action.option_strings if name not in ("-h", "--help")]
        yield from (f"{command} {name}" for name in names)
        for choice in action.choices or []:
            yield " ".join([command, *names[-1:], str(choice)])


def _module(name: str) -> Any:
    """The module that reads a script's command line; None for a shell script."""
    if name not in _ELSEWHERE:
        stem = name.removesuffix(".py")
        if not (ROOT / f"src/ppocr_control/commands/{stem}.py").exists():
            return None
        return importlib.import_module(f"ppocr_control.commands.{stem}")
    return importlib.import_module(_ELSEWHERE[name])


def options() -> Iterator[str]:
    """What each script takes: options, choices, subcommands."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/lab")]
    try:
        for path in sorted(ROOT.glob("scripts/*")):
            if not path.is_file():
                continue
            if module := _module(path.name):
                yield from _options(_parser(module), path.name)
                continue
            comments = re.findall(r"^#.*$", path.read_text(encoding="utf-8"), re.M)
            said = "\n".join(comments)
            yield from (f"{path.name} {name}" for name in re.findall(r"(?<![\w-])--[a-z-]+", said))
            for group in re.findall(rf"scripts/{path.name} \[([a-z|]+)\]", said):
                yield from (f"{path.name} {word}" for word in group.split("|"))
    finally:
        del sys.path[:2]


def modules() -> Iterator[str]:
    """Built-in PaddleHub modules, which clients name in their requests' path."""
    yield from (path.parent.name for path in ROOT.glob("images/ppocr/modules/*/module.py"))


def http_paths() -> Iterator[str]:
    """Paths the front answers."""
    text = (SERVER / "front.py").read_text(encoding="utf-8")
    yield from re.findall(r'^ +\("(/\w*)", handlers\.', text, re.M)
    yield from (
        f"{path}<module>" for path in re.findall(r'^_MODULE_PATH = r"(/\w+/)\(', text, re.M)
    )


def metrics() -> Iterator[str]:
    """Metrics with their labels, as Prometheus reads them."""
    for node in ast.walk(ast.parse((SERVER / "metrics.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        kind = node.func.attr
        if kind in ("_counter", "_gauge", "_histogram"):
            name, _, *labels = (
                str(each.value) for each in node.args if isinstance(each, ast.Constant)
            )
            total = "_total" if kind == "_counter" else ""
            yield f"ppocr_{name}{total}{{{','.join(labels)}}}"


def host_files() -> Iterator[str]:
    """Files and folders on hosts and in the container that have this project's name."""
    form = re.compile(r"(?<![\w/}.-])/(?:etc|var|opt|run|usr)/[\w./-]*ppocr[\w./-]*")
    for folder in ("roles", "plugins", "src", "images/ppocr"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".md", ".pyc"} or not path.is_file():
                continue
            with contextlib.suppress(UnicodeDecodeError):
                for name in form.findall(path.read_text(encoding="utf-8")):
                    if not name.startswith(_PARTS_OF_THE_IMAGE):
                        yield name.rstrip("/.")


def labels() -> Iterator[str]:
    """Labels of images, containers and networks, by which older and newer versions know them."""
    for folder in ("roles", "plugins", "src", "images/ppocr"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {"", ".py", ".yml", ".j2"}:
                yield from re.findall(r"org\.ppocr\.[a-z-]+", path.read_text(encoding="utf-8"))


def variables() -> Iterator[str]:
    """PPOCR_* of the scripts and of the container."""
    fields = importlib.import_module("ppocr_contract.settings").Settings.__dataclass_fields__
    yield from (f"PPOCR_{name.upper()}" for name in fields)
    for folder in ("scripts", "src", "images", "plugins", "playbooks", "roles", "smoke_tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {"", ".py", ".sh", ".yml"}:
                text = path.read_text(encoding="utf-8")
                yield from set(re.findall(r"\bPPOCR_[A-Z_]*[A-Z]\b", text)) - _INTERNAL


KINDS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "scripts": scripts,
    "options of scripts": options,
    "playbooks": playbooks,
    "tags": tags,
    "modules": modules,
    "HTTP paths": http_paths,
    "metrics": metrics,
    "files": host_files,
    "labels": labels,
    "environment variables": variables,
}


def found() -> dict[str, list[str]]:
    """Every public name there is now, by kind."""
    return {kind: sorted(set(collect())) for kind, collect in KINDS.items()}


def listed() -> dict[str, list[str]]:
    """The names that were given out."""
    return {key: list(names) for key, names in json.loads(LISTED.read_text()).items()}


def lost(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """One sentence for each name that no longer is."""
    return [
        f"{kind}: {name} is gone. Users have written it down: it has to go on working, and to say "
        "its new name where it is used (CONTRIBUTING.md, Rename something)"
        for kind, names in before.items()
        for name in names
        if name not in now.get(kind, [])
    ]


def main() -> int:
    before, now = listed() if LISTED.exists() else {}, found()
    merged = {kind: sorted({*before.get(kind, []), *names}) for kind, names in now.items()}
    LISTED.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for kind, names in merged.items():
        for name in sorted(set(names) - set(before.get(kind, []))):
            print(f"added: {kind}: {name}")
    for sentence in (gone := lost(before, now)):
        print(sentence, file=sys.stderr)
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
