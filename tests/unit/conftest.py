"""Unit tests import the container's package and the control node's library from where they live."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for folder in ("scripts", "images/ppocr/serving"):
    sys.path.insert(0, str(ROOT / folder))


@pytest.fixture(scope="session")
def load_plugin():
    """Import a plugin of a role by its path below roles/."""

    def load(path: str):
        file = ROOT / "roles" / path
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
