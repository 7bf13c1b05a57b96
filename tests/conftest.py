"""What holds for the tests of every layer."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A warning is an error; what is not ours to mend is let through where it is."""
    config.addinivalue_line("filterwarnings", "error")
    # The garbage collector raises these, in whatever test it happens to run.
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")
