"""The common part of all commands in scripts/: --json, --quiet, exit status, error messages."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import EXIT_STATUS_HELP, FAILED, INTERRUPTED, OK, Error

#: Packages whose errors come from the Docker engine, or the connection to it.
_ENGINE_PACKAGES = ("docker", "requests", "urllib3")
#: Errors of a full disk, or of a user's share of it.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_MAKE_ROOM = (
    "Make room where it writes: what the command line names, the caches (PPOCR_CACHE, "
    "~/.cache/ppocr), /var/tmp and TMPDIR"
)


def cache_folder() -> Path:
    """Return the folder of the project's caches: PPOCR_CACHE, else ~/.cache/ppocr."""
    return Path(os.environ.get("PPOCR_CACHE", Path.home() / ".cache/ppocr"))


def parser(description: str | None, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser with the options of every command; its help ends with the exit status."""
    result = argparse.ArgumentParser(
        description=description,
        epilog=f"{epilog}\n{EXIT_STATUS_HELP}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument(
        "--json", action="store_true", help="print the result as JSON on standard output"
    )
    result.add_argument("--quiet", action="store_true", help="print no progress")
    return result


def add_store(to: argparse.ArgumentParser) -> None:
    """Add the option --store, the folder of compressed layers."""
    to.add_argument(
        "--store",
        type=Path,
        default=cache_folder() / "layers",
        help="folder of compressed layers, kept for later runs (default: %(default)s)",
    )


def add_mirrors(to: argparse.ArgumentParser) -> None:
    """Add the options that name where packages come from."""
    to.add_argument("--apt-mirror", default="", help="Debian mirror (default: that of mmdebstrap)")
    to.add_argument(
        "--pip-index-url", default="", help="package index (default: that of pip's configuration)"
    )


def run(
    args: argparse.Namespace, work: Callable[[argparse.Namespace], tuple[int, Any, str]]
) -> int:
    """Run a command, print its result, and return the exit status.

    ``work`` returns the status, the result for --json, and a readable summary.
    """
    try:
        status, result, summary = work(args)
    except Error as error:
        status, result, summary = error.status, {"error": str(error)}, f"error: {error}"
    except Exception as error:
        reason = " ".join(str(getattr(error, "explanation", None) or error).split())
        if type(error).__module__.partition(".")[0] in _ENGINE_PACKAGES:
            said = f"the Docker engine reports: {reason}"
        elif isinstance(error, OSError) and error.errno in _NO_ROOM:
            reason = said = f"this machine: {reason}. {_MAKE_ROOM}"
        else:
            raise
        status, result, summary = FAILED, {"error": reason}, f"error: {said}"
    except KeyboardInterrupt:
        status, summary = INTERRUPTED, "interrupted; run the same command again to continue"
        result = {"error": summary}
    if args.json:
        print(json.dumps(result, indent=2, default=str))
    if summary and not (args.json and status == OK):
        print(summary, file=sys.stdout if status == OK else sys.stderr)
    return status
