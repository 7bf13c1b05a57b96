"""Hooks: programs of the operator that the control node runs before and after a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import Error

PRE, POST, FAILURE = "pre-deploy", "post-deploy", "on-failure"
#: Verbs that put a version into service: only these have a pre-deploy and a post-deploy.
DEPLOYING = ("deploy", "rollback")


def find(folder: str, name: str) -> list[Path]:
    """The hook of a name, or all in the folder of that name, by name; none where there is none."""
    path = Path(folder).expanduser() / name
    if not folder or not path.exists():
        return []
    if path.is_dir():
        return sorted(each for each in path.iterdir() if each.is_file() and each.name[0] != ".")
    return [path]


def run(hook: Path, about: Mapping[str, str], timeout: int) -> str:
    """Run a hook to its end and return its output, stderr included.

    Args:
        hook: the program; its working folder is the one of all hooks.
        about: variables that are added to its environment.
        timeout: seconds it may take.

    Raises:
        Error: it cannot be started, failed, or took too long; names the hook, with its output.
    """
    try:
        with subprocess.Popen(
            [str(hook.absolute())], env={**os.environ, **about}, cwd=hook.parent, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            errors="replace", start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)  # what it started would keep its output open
                output, _ = process.communicate()
                raise Error(
                    f"The hook {hook} did not end within {timeout} s (ppocr_hooks_timeout) and was "
                    f"ended. Its output: {output.strip() or '(none)'}"
                ) from None
    except PermissionError:
        raise Error(
            f"The hook {hook} is not executable: run chmod +x on it, or remove it"
        ) from None
    except OSError as error:
        raise Error(
            f"The hook {hook} cannot be run ({error}): its first line names what runs it"
        ) from None
    if process.returncode:
        raise Error(
            f"The hook {hook} failed with status {process.returncode}. Its output: "
            f"{output.strip() or '(none)'}"
        )
    return output


def environment(begun: Mapping[str, str], hosts: list[str], **outcome: str) -> dict[str, str]:
    """The variables that hooks get.

    Args:
        begun: of the run: ``run``, ``verb``, ``version``.
        hosts: the hosts of the run.
        outcome: ``result``, ``failed_hosts`` and ``message``, once they are known.
    """
    return {
        "PPOCR_RUN_ID": begun["run"],
        "PPOCR_RUN_VERB": begun["verb"],
        "PPOCR_RUN_VERSION": begun["version"],
        "PPOCR_RUN_HOSTS": ",".join(hosts),
        "PPOCR_RUN_RESULT": outcome.get("result", ""),
        "PPOCR_RUN_FAILED_HOSTS": outcome.get("failed_hosts", ""),
        "PPOCR_RUN_MESSAGE": outcome.get("message", ""),
    }
