"""How strict unit tests are."""


def pytest_configure(config):
    """A warning is an error in unit tests; what is not ours to mend is let through where it is."""
    config.addinivalue_line("filterwarnings", "error")
    # The garbage collector raises these, in whatever test it happens to run.
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")
