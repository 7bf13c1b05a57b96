"""What imports what: the rules of docs/architecture.md that a reader cannot see at a glance."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "images/ppocr/serving"
#: Where packages lie that the project is made of.
TRAINER = ROOT / "images/trainer/training"
PACKAGES = [
    *sorted((ROOT / "src").glob("ppocr_*")), SERVING / "ppocr_serving", TRAINER / "ppocr_trainer"
]  # fmt: skip


def imported(file: Path, package: str) -> Iterator[str]:
    """Modules a file imports when it is imported, named in full; of ``from a import b`` both."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def modules(folder: Path) -> dict[str, set[str]]:
    """{module: what it imports} of a package."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = set(imported(file, name if is_package else name.rpartition(".")[0]))
    return found


@pytest.mark.parametrize("name", ["ppocr_contract", "ppocr_hosts"])
def test_what_others_share_imports_the_standard_library_only(name: str) -> None:
    roots = {
        each.split(".")[0] for found in modules(ROOT / "src" / name).values() for each in found
    }
    assert roots - sys.stdlib_module_names <= {name}


@pytest.mark.parametrize(
    ("folder", "oldest"),
    [
        ("src/ppocr_hosts", (3, 8)),
        ("plugins/modules", (3, 8)),
        ("src/ppocr_control/shipping/on_host", (3, 6)),
    ],
)
def test_what_runs_on_hosts_is_python_they_have(folder: str, oldest: tuple[int, int]) -> None:
    for file in (ROOT / folder).glob("*.py"):
        ast.parse(file.read_text(), feature_version=oldest)


def test_what_is_shared_knows_neither_side() -> None:
    for package in PACKAGES:
        roots = {each.split(".")[0] for found in modules(package).values() for each in found}
        others = roots & {other.name for other in PACKAGES} - {package.name}
        assert others <= {
            "ppocr_control": {"ppocr_contract", "ppocr_hosts", "ppocr_training"},
            "ppocr_serving": {"ppocr_contract"},
            "ppocr_trainer": {"ppocr_training"},
        }.get(package.name, set()), package.name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_no_two_modules_import_each_other(package: Path) -> None:
    graph = modules(package)
    needs = {
        name: {each for each in found if each in graph and each != name}
        for name, found in graph.items()
    }
    while free := [name for name, found in needs.items() if not found]:
        for name in free:
            del needs[name]
        for found in needs.values():
            found.difference_update(free)
    assert not needs


def test_nothing_of_the_product_changes_where_python_looks() -> None:
    folders = ("src", "plugins", "scripts", "roles", "smoke_tests", "images/ppocr/serving")
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            assert "sys.path" not in file.read_text(), file
