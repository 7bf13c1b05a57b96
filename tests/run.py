"""Runs tests of every layer in steps, the slowest named at the end.

Called by scripts/test, which makes the environment. The steps are in noxfile.py; nox runs them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any

from nox import registry

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import noxfile  # noqa: E402

REPORT = noxfile.LOGS / "steps.json"
_SLOWEST = 6


def counts(step: dict[str, Any]) -> Counter[str]:
    """Tests by outcome, as pytest wrote them down; a step without tests counts as one."""
    found: Counter[str] = Counter()
    with_tests = noxfile.LOGS / f"{step['name']}.xml"
    if with_tests.exists():
        for suite in ElementTree.parse(with_tests).iter("testsuite"):  # noqa: S314 - our own file
            number = {key: int(suite.get(key, 0)) for key in ("tests", "skipped")}
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            found.update(failed=failed, skipped=number["skipped"])
            found["passed"] += max(0, number["tests"] - number["skipped"] - failed)
    if step["result"] != "success":
        found["failed"] = found["failed"] or 1
    elif not found:
        found["passed"] = 1
    return found


def summary(steps: list[dict[str, Any]]) -> str:
    """The slowest steps, those that failed, and how many tests came to what."""
    slowest = sorted(steps, key=lambda step: -step["duration"])[:_SLOWEST]
    lines = ["", "slowest steps:"]
    lines += [f"  {step['duration']:6.0f} s  {step['name']}" for step in slowest]
    if failed := [step["name"] for step in steps if step["result"] != "success"]:
        logs = noxfile.LOGS.relative_to(ROOT)
        lines.append(f"failed steps: {', '.join(failed)} (logs in {logs})")
    total = sum(map(counts, steps), Counter())
    said = (f"{total[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))
    return "\n".join([*lines, ", ".join(said)])


def run(command: list[str]) -> int:
    """Run nox to its end; what ends this process interrupts nox, which ends its steps."""
    # What is started in the background may have been told to ignore it, and nox would, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends nox its own
        return process.wait()


def main() -> int:
    steps = list(registry.get())
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__)
    parser.add_argument("steps", nargs="*", help=f"some of: {', '.join(steps)}")
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument(
        "--quick", action="store_true", help="linters, and unit tests without the slow ones"
    )
    tier.add_argument(
        "--full",
        action="store_true",
        help="also the tests marked full, training, a long soak, the benchmark, the image for GPUs",
    )
    parser.add_argument(
        "--cpus",
        type=float,
        metavar="N",
        help="limit each step, with its containers, to N CPUs, such as 0.25: a slow machine",
    )
    args = parser.parse_args()
    if unknown := sorted(set(args.steps) - set(steps)):
        parser.error(f"no such step: {', '.join(unknown)}")
    if args.steps and (args.quick or args.full):
        parser.error("--quick and --full choose the steps: leave out their names, or the option")
    if args.cpus:
        os.environ[noxfile.CPUS] = str(args.cpus)
    for old in (REPORT, *noxfile.LOGS.glob("*.xml")):
        old.unlink(missing_ok=True)
    chosen = ["--no-dependencies", "--session", *args.steps]
    if not args.steps:
        chosen = ["--tags", "quick" if args.quick else "full" if args.full else "default"]
    status = run([sys.executable, "-m", "nox", "--report", str(REPORT), *chosen])
    if REPORT.exists():
        print(summary(json.loads(REPORT.read_text())["sessions"]))
    return status


if __name__ == "__main__":
    sys.exit(main())
