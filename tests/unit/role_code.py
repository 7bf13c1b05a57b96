"""Load modules and plugins the way Ansible would find them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import ansible.module_utils

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    """Return the Python file at path (relative to the repository) as a module."""
    file = ROOT / path
    utils = str(ROOT / "src")  # as in ansible.cfg
    if utils not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(utils)
    spec = importlib.util.spec_from_file_location(f"role_code_{file.stem}", file)
    assert spec and spec.loader, f"{file} is no Python file"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
