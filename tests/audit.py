"""Asks the package index what holes are known of everything locked. A step of scripts/test.

A hole that requirements/floors.toml does not except fails it. Where the index cannot be asked, or
knows nothing of holes, it says so and claims nothing; tests/unit/test_floors.py holds there, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

from tests import locks

_SECONDS = 300


def ask(lock: str) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each package of a lock, and why it could not look, or nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        # Names and versions alone: nothing is to be resolved or fetched.
        file.writelines(f"{name}=={version}\n" for name, version in locks.packages(lock).items())
        file.flush()
        audit = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"]
        how = ["--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=15"]
        try:
            done = subprocess.run(
                [*audit, *how], capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            return [], f"no answer in {_SECONDS} s"
    if done.returncode not in (0, 1):  # 1: holes, or no answer
        sys.exit(f"pip-audit does not run: {done.stderr.strip()[-400:]}")
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        return [], (done.stderr.strip().splitlines() or ["no answer"])[-1]


def judge(
    lock: str, answers: Iterable[dict[str, Any]], known: locks.Known
) -> tuple[list[str], int]:
    """Holes that are not excepted, in words, and how many packages were looked at."""
    holes, looked = [], 0
    for answer in answers:
        if "skip_reason" in answer:
            continue
        looked += 1
        excepted = known.excepted(lock, answer["name"])
        for hole in answer.get("vulns", []):
            names = {hole["id"], *hole.get("aliases", [])}
            if "*" not in excepted and not names & excepted:
                closed = ", ".join(hole.get("fix_versions", [])) or "no version yet"
                package = f"{answer['name']} {answer['version']}"
                holes.append(f"{package}: {' '.join(sorted(names))}, closed in {closed}")
    return holes, looked


def main() -> int:
    known, failed, not_looked = locks.known(), 0, 0
    for lock in locks.locks():
        answers, why = ask(lock)
        holes, looked = judge(lock, answers, known)
        rest = len(locks.packages(lock)) - looked
        print(f"{lock}: {looked} packages looked up, {len(holes)} holes that are not excepted")
        for hole in holes:
            print(f"  {hole}")
        if rest:
            print(f"  NOT LOOKED UP: {rest} packages ({why or 'the index has no answer for them'})")
        failed += len(holes)
        not_looked += rest
    if not_looked:
        print(f"not looked up: {not_looked} packages; requirements/floors.toml was checked, though")
    if failed:
        print(
            f"{failed} holes: renew with scripts/lock, or except them in requirements/floors.toml"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
