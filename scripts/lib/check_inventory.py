#!/usr/bin/env python3
"""Checks the inventory that ansible-playbook is about to read.

    scripts/lib/check_inventory.py [options of ansible-playbook]

Ansible ignores a missing inventory, and reports some errors without file or line. For an unusable
inventory this exits with status 1 and prints one sentence for each error on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

_YAML = {".yml", ".yaml", ".json"}
_VARIABLES = ("group_vars", "host_vars")
_YES = {"1", "true", "yes", "on", "y", "t"}
_VAULT = "$ANSIBLE_VAULT;"


def _options(arguments: list[str]) -> argparse.Namespace:
    """Parse the options of ansible-playbook that name sources of settings."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-i", "--inventory", "--inventory-file", action="append", default=[])
    parser.add_argument("-e", "--extra-vars", action="append", default=[])
    parser.add_argument("--vault-id", action="append", default=[])
    parser.add_argument("--vault-password-file", "--vault-pass-file", action="append", default=[])
    parser.add_argument(
        "-J", "--ask-vault-password", "--ask-vault-pass", dest="ask", action="store_true"
    )
    for switch in "bCDKkv":  # may be combined with others: -KJ, -Ki
        parser.add_argument(f"-{switch}", action="store_true")
    return parser.parse_known_args(arguments)[0]


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that Ansible would read, sorted."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith(("~", ".orig", ".bak", ".retry")):
            continue
        if path.is_dir():
            yield from _inside(path)
        else:
            yield path


def _files(source: Path) -> Iterator[Path]:
    """Yield the files of an inventory and of the variables beside it."""
    if source.is_dir():
        yield from _inside(source)
        return
    yield source
    for name in _VARIABLES:
        if (source.parent / name).is_dir():
            yield from _inside(source.parent / name)


def _sources(inventories: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the paths among inventories, and one sentence for each that is missing or empty."""
    paths, problems = [], []
    for name in inventories:
        if "," in name:  # a list of hosts
            continue
        path = Path(name).expanduser()
        if not path.exists():
            problems.append(
                f"the inventory {name} does not exist (in {Path.cwd()}): correct -i, or copy "
                "inventory/example and name your hosts in it"
            )
        elif path.is_dir() and not any(
            file.relative_to(path).parts[0] not in _VARIABLES for file in _inside(path)
        ):
            problems.append(
                f"the inventory folder {name} has no file with hosts: give another folder "
                "with -i, or copy inventory/example/hosts.yml into it"
            )
        else:
            paths.append(path)
    return paths, problems


def _yaml_problem(path: Path, text: str) -> str:
    """Return a sentence on where and why a file is not YAML; '' if it is."""
    try:
        for _ in yaml.compose_all(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        hint = "write blanks instead of tabs" if "'\\t'" in what else "correct it there or above"
        return f"{path}{where}: this is not YAML ({what}): {hint}"
    except yaml.YAMLError as error:
        return f"{path}: this is not YAML ({' '.join(str(error).split())}): correct it"
    return ""


def problems(arguments: list[str], environment: dict[str, str], root: Path) -> list[str]:
    """Return one sentence for each error in the inventory and variable files.

    Args:
        arguments: those of ansible-playbook.
        environment: its environment.
        root: the repository, with ansible.cfg and the default inventory.
    """
    options = _options(arguments)
    named = options.inventory or list(
        filter(None, environment.get("ANSIBLE_INVENTORY", "").split(","))
    )
    sources, found = _sources(named or [str(root / "inventory/local")])
    files = [file for source in sources for file in _files(source)]
    for extra in options.extra_vars:
        if extra.startswith("@"):
            path = Path(extra[1:]).expanduser()
            files.append(path)
            if not path.is_file():
                found.append(f"-e {extra}: the file does not exist: correct its path")
    config = Path(environment.get("ANSIBLE_CONFIG") or root / "ansible.cfg")
    opened = (
        options.ask
        or options.vault_id
        or options.vault_password_file
        or environment.get("ANSIBLE_ASK_VAULT_PASS", "").lower() in _YES
        or environment.get("ANSIBLE_VAULT_PASSWORD_FILE")
        or environment.get("ANSIBLE_VAULT_IDENTITY_LIST")
        or config != root / "ansible.cfg"  # another ansible.cfg may set one
    )
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            if file.suffix in _YAML:
                found.append(f"{file} is not UTF-8 text: save it in UTF-8")
            continue
        except OSError as error:
            if file.exists():
                found.append(f"{file} cannot be read: {error.strerror}")
            continue
        encrypted = text.startswith(_VAULT)
        if not opened and (encrypted or (": !vault" in text and _VAULT in text)):
            found.append(
                f"{file} contains a vault, and no password for it is given: add --ask-vault-pass "
                "or --vault-password-file FILE"
            )
        variables = not file.suffix and set(file.parts) & set(_VARIABLES)
        if not encrypted and (file.suffix in _YAML or variables):
            found.append(_yaml_problem(file, text))
    return [problem for problem in found if problem]


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    found = problems(sys.argv[1:], dict(os.environ), root)
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
