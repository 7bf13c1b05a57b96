"""Plugins and modules as unit tests load them."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pytest_configure(config):
    """A warning is an error in unit tests; what is not ours to mend is let through where it is."""
    config.addinivalue_line("filterwarnings", "error")
    # The garbage collector raises these, in whatever test it happens to run.
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def load_plugin():
    """Import a plugin by its path in the repository."""

    def load(path: str):
        file = ROOT / path
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
