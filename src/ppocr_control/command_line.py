"""What the commands of scripts/ have in common: --json, --quiet, exit status, errors in words."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import EXIT_STATUS_HELP, FAILED, INTERRUPTED, OK, Error

#: Packages whose errors are the engine's, or the connection's to it.
_ENGINES_WORDS = ("docker", "requests", "urllib3")


def cache_folder() -> Path:
    """Where this project keeps what can be made again: PPOCR_CACHE, else ~/.cache/ppocr."""
    return Path(os.environ.get("PPOCR_CACHE", Path.home() / ".cache/ppocr"))


def parser(description: str | None, epilog: str = "") -> argparse.ArgumentParser:
    """A parser with the options every command has."""
    made = argparse.ArgumentParser(
        description=description,
        epilog=f"{epilog}\n{EXIT_STATUS_HELP}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--json", action="store_true", help="print the result as JSON on standard output"
    )
    made.add_argument("--quiet", action="store_true", help="no progress")
    return made


def add_store(made: argparse.ArgumentParser) -> None:
    """The option that names the store of compressed layers."""
    made.add_argument(
        "--store",
        type=Path,
        default=cache_folder() / "layers",
        help="where compressed layers are kept for the next time (default: %(default)s)",
    )


def run(
    args: argparse.Namespace, work: Callable[[argparse.Namespace], tuple[int, Any, str]]
) -> int:
    """Do the work, print its result, and return the exit status.

    ``work`` returns the status, the result for --json and the words for a person.
    """
    try:
        status, result, words = work(args)
    except Error as trouble:
        status, result, words = trouble.status, {"error": str(trouble)}, f"error: {trouble}"
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _ENGINES_WORDS:
            raise
        said = " ".join(str(getattr(error, "explanation", None) or error).split())
        status, result, words = FAILED, {"error": said}, f"error: the Docker engine says: {said}"
    except KeyboardInterrupt:
        status, words = INTERRUPTED, "interrupted; run the same command again to go on"
        result = {"error": words}
    if args.json:
        print(json.dumps(result, indent=2, default=str))
    if words and not (args.json and status == OK):
        print(words, file=sys.stdout if status == OK else sys.stderr)
    return status
