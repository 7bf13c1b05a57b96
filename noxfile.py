"""The steps of scripts/test as sessions of nox: what each runs, what it needs, and its tiers.

They run in the environment that scripts/test has made, two in parallel: while hosts of the lab
boot, the CPUs are free for another step. A step writes build/test-logs/NAME.log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # the command nox does not look here
from tests import slowed  # noqa: E402

LOGS = ROOT / "build/test-logs"
LOGS.mkdir(parents=True, exist_ok=True)
#: How many CPUs each step gets (scripts/test --cpus).
CPUS = "PPOCR_TEST_CPUS"
QUICK, DEFAULT, FULL = ("quick", "default", "full"), ("default", "full"), ("full",)
#: Lines of a step's output that are shown when it has ended well, and when it has failed.
SHOWN, SHOWN_OF_FAILED = 12, 250

nox.options.default_venv_backend = "none"
nox.options.allow_parallel = True
nox.options.parallel = 2


def step(
    name: str,
    command: Sequence[str],
    tiers: Sequence[str] = (),
    requires: Sequence[str] = (),
    minutes: int = 25,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Make a command a session: it is not run when one that it requires has failed."""

    def run(session: nox.Session) -> None:
        # nox passes an interruption on to the command, and nothing else.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        cpus = float(os.environ.get(CPUS, 0))
        limit = minutes * max(1, 2 / cpus) if cpus else minutes
        # timeout gives the command a process group of its own, which outlives nox by what it takes
        # to remove the lab's hosts.
        limited = ["timeout", "--kill-after=1m", f"{limit}m", *command]
        variables = {"PYTHONUNBUFFERED": "1", **(environment or {})}
        log = LOGS / f"{name}.log"
        shown = SHOWN_OF_FAILED
        with contextlib.ExitStack() as stack:
            if cpus:
                processes = stack.enter_context(slowed.share(name, cpus))
                limited = ["sh", "-c", f'echo $$ >{processes}; exec "$@"', "sh", *limited]
                variables |= slowed.environment(name)
            output = stack.enter_context(log.open("w"))
            try:
                session.run(
                    *limited, env=variables, stdout=output, stderr=subprocess.STDOUT, external=True
                )
                shown = SHOWN
            finally:
                lines = log.read_text(errors="replace").splitlines()
                print("\n".join(lines[-shown:]), flush=True)

    run.__doc__ = " ".join(command)
    nox.session(name=name, tags=tiers, requires=requires)(run)


def suite(name: str, *arguments: str, **options: Any) -> None:
    """A step of pytest."""
    pytest = [sys.executable, "-m", "pytest", "-q", "--durations=5", "-p", "no:cacheprovider"]
    step(name, [*pytest, f"--junit-xml={LOGS / name}.xml", *arguments], **options)


def shell_scripts() -> list[str]:
    """What a person starts and is shell; scripts/lib/env.sh is read along with it."""
    return sorted(
        str(path.relative_to(ROOT))
        for pattern in (".ci/*", "scripts/*", "tests/**/in_root/*")
        for path in ROOT.glob(pattern)
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
    )


#: What --full alone runs, in steps of its own.
FEWER, REST = ("-m", "not full"), ("-m", "full")
#: Options that have so many processes take file after file.
SPREAD = ("--dist", "loadfile", "-n")
#: A killed run of these tests leaves its lock on this machine; the lock of a live one stays.
BREAK_STALE_LOCK = ("-e", "deploy_lock_break=true")
DEPLOY_AGAIN = 'scripts/deploy | tee /dev/stderr | grep "changed=0 .*failed=0"'
#: More hosts than a person is allowed by mistake: files are run beside each other.
LAB = {"PPOCR_LAB_MAX_HOSTS": "24"}
LAB_FIRST = ("deploy", "updates", "ship", "bundle", "gpu", "lock_rollback", "ship_relay")
LAB_ALL = sorted(
    (path.stem.removeprefix("test_") for path in ROOT.glob("tests/lab/test_*.py")),
    key=lambda name: ((*LAB_FIRST, name).index(name), name),
)


def lab_files(names: Sequence[str]) -> list[str]:
    return [f"tests/lab/test_{name}.py" for name in names]


step("deploy", ["scripts/deploy", *BREAK_STALE_LOCK], DEFAULT)
# The longest step: it starts as soon as there is an engine, with the files that take longest.
suite(
    "lab", *SPREAD, "3", "--no-loadscope-reorder", *FEWER, *lab_files(LAB_ALL),
    tiers=["default"], requires=["deploy"], minutes=60, environment=LAB,
)  # fmt: skip
step("ansible-lint", ["ansible-lint", "-q"], QUICK)
step("types", ["mypy"], QUICK)
step("ruff", ["ruff", "check", "."], QUICK)
step("format", ["ruff", "format", "--check", "."], QUICK)
step("yamllint", ["yamllint", "--strict", "."], QUICK)
step("shell", ["shellcheck", *shell_scripts()], QUICK)
step("spelling", ["codespell"], QUICK)
step("settings", [sys.executable, "scripts/settings.py", "--check"], QUICK)
suite("unit-quick", "tests/unit", "-m", "not slow", *SPREAD, "2", tiers=["quick"])
suite("unit", "tests/unit", *FEWER, *SPREAD, "2", tiers=["default"], minutes=45)
step("audit", [sys.executable, "-m", "tests.audit"], DEFAULT)
step("deploy-again", ["sh", "-c", DEPLOY_AGAIN], DEFAULT, ["deploy"])
suite("stock", "tests/stock", tiers=DEFAULT, requires=["deploy"])
GPU_IMAGE = "tests/image/test_gpu_image.py"
PADDLE_3 = "tests/image/test_paddle3_models.py"
SOAK = "tests/service/test_soak.py"
suite(
    "image", "tests/image", f"--ignore={GPU_IMAGE}", f"--ignore={PADDLE_3}",
    tiers=DEFAULT, requires=["deploy"],
)  # fmt: skip
suite(
    "service", "tests/service", *FEWER, f"--ignore={SOAK}", "--browser",
    tiers=DEFAULT, requires=["deploy"], minutes=60,
)  # fmt: skip
# What --full adds: tests of the layers above that others cover in parts, and layers of its own.
# Coverage costs about a third of the time until CPython 3.12, so it is measured once, of all.
# Paddle 3 and the image for GPUs are 1 and 2 GB to fetch.
suite("unit-full", "tests/unit", *SPREAD, "2", "--cov", tiers=FULL, minutes=60)
suite("service-full", "tests/service", *REST, tiers=FULL, requires=["deploy"], minutes=50)
suite("paddle3", PADDLE_3, tiers=FULL, requires=["deploy"])
suite("gpu-image", "-s", GPU_IMAGE, tiers=FULL, requires=["deploy"], minutes=30)
# PaddleOCR's own tools train and export, and the export is verified, in the trainer image (1.3 GB).
suite("training", "tests/training", tiers=FULL, requires=["deploy"], minutes=40)
suite("soak", SOAK, "--soak-requests=2000", tiers=FULL, requires=["deploy"], minutes=50)
step("bench", ["scripts/bench", "--quick", "--out=build/bench"], FULL, ["stock"], minutes=120)
# By how many answers each kind of change is judged.
ENOUGH = {"PPOCR_LAB_ANSWERS": "2000"}
for each in LAB_ALL:
    suite(
        f"lab-{each}", "-s", *lab_files([each]),  # the log shows how long clients waited
        tiers=FULL, requires=["deploy"], minutes=90, environment=LAB | ENOUGH,
    )  # fmt: skip
