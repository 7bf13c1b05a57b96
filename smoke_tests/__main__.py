"""``python -m smoke_tests --url URL``: the smoke tests without pytest's own output.

Prints a table of the samples and ends with 0 when every check passed, 1 when one did not,
4 when an option is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from .options import OPTIONS


def main(argv: list[str] | None = None) -> int:
    """Run the smoke tests; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m smoke_tests",
        description="Send pictures with known text to a hubserving OCR service and compare.",
        epilog="Ends with 0 when every check passed, 1 when one did not, 4 for a wrong option.",
    )
    for flag, keywords in OPTIONS:
        parser.add_argument(flag, required=flag == "--url", **keywords)
    given = vars(parser.parse_args(argv))
    options = []
    for flag, _ in OPTIONS:
        value = given[flag.lstrip("-").replace("-", "_")]
        if value is not None:
            options.append(f"{flag}={value}")
    quiet = ["-q", "--no-header", "--tb=no", "--show-capture=no", "-rN"]
    folder = Path(__file__).parent
    # rootdir and an empty configuration: options of a project around must not change this run.
    return int(
        pytest.main(
            [*quiet, f"--rootdir={folder}", f"-c={folder / 'pytest.ini'}", str(folder), *options]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
