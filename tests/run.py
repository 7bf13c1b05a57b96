"""Runs every layer of tests: what can overlap at once, the slowest steps named at the end.

Called by scripts/test, which makes the environment. Each step writes to build/test-logs/NAME.log;
its output is printed when it ends, whole if it failed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import slowed

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build/test-logs"
#: Steps at once on two cores, and how many of them may be of the lab, which mostly waits for hosts.
PARALLEL = 3
PARALLEL_LAB = 2
#: Seconds a step gets to end by itself when its time is up.
_TO_END = 60
_processes: list[subprocess.Popen[bytes]] = []
_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command. It starts when the steps named in ``after`` have ended, whatever came of them:
    a step that failed hides no other."""

    name: str
    command: Sequence[str]
    after: tuple[str, ...] = ()
    timeout: int = 1500  # seconds
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    lab: bool = False  # brings up lab hosts
    full: bool = False  # run with --full, or when it is named


def pytest(*arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--durations=5",
        "-p",
        "no:cacheprovider",
        *arguments,
    ]


def without(*files: str) -> list[str]:
    """Options that leave these test files to another step."""
    return [f"--ignore={file}" for file in files]


def script(name: str, *arguments: str) -> list[str]:
    return ["/bin/sh", str(ROOT / "scripts" / name), *arguments]


def shell_scripts() -> list[str]:
    """What a person starts and is shell; scripts/lib/env.sh is read along with it."""
    return sorted(
        str(path.relative_to(ROOT))
        for pattern in (".ci/*", "scripts/*", "tests/**/in_root/*")
        for path in ROOT.glob(pattern)
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
    )


SERVICE = "http://127.0.0.1:8866"
GPU_IMAGE = "tests/image/test_gpu_image.py"
SHORT_BENCH = ["--quick", "--clients=4", "--requests=4", "--settle=0", "--hard=1"]
#: Steps at once have more hosts than a person is allowed by mistake.
LAB = {"PPOCR_LAB_MAX_HOSTS": "16"}
#: What takes longest in the lab and so begins first: a file is a step, and they fill two places.
LAB_FIRST = (
    "deploy", "gpu", "host_roles", "lock_rollback", "ship_relay", "bundle", "remove", "ship",
)  # fmt: skip
#: For --full: tests of the lab itself, what takes long, and what others cover in parts.
LAB_FULL = ("balancers", "lab", "german_deploy", "ship_bench")


def lab_steps() -> list[Step]:
    """A step for each test file of the lab."""
    names = [path.stem.removeprefix("test_") for path in ROOT.glob("tests/lab/test_*.py")]
    names.sort(key=lambda name: ((*LAB_FIRST, name).index(name), name))
    return [
        Step(
            f"lab-{name}",
            pytest(f"tests/lab/test_{name}.py"),
            ("deploy",),
            timeout=3000,
            environment=LAB,
            lab=True,
            full=name in LAB_FULL,
        )
        for name in names
    ]


#: A killed run of these tests leaves its lock on this machine; the lock of a live one stays.
BREAK_STALE_LOCK = ["-e", "deploy_lock_break=true"]
STEPS = [
    Step("deploy", script("deploy", *BREAK_STALE_LOCK)),
    # The longest by far: first in line for a place.
    *lab_steps(),
    Step("ruff", ["ruff", "check", "."]),
    Step("format", ["ruff", "format", "--check", "."]),
    Step("yamllint", ["yamllint", "--strict", "."]),
    Step("shell", ["shellcheck", *shell_scripts()]),
    Step("spelling", ["codespell"]),
    Step("types", ["mypy"]),
    Step("settings", [sys.executable, "scripts/settings.py", "--check"]),
    Step("ansible-lint", ["ansible-lint", "-q"]),
    Step("audit", [sys.executable, "-m", "tests.audit"]),
    Step("unit", pytest("tests/unit")),
    Step("deploy-again", script("deploy"), after=("deploy",)),
    Step("stock", pytest("tests/stock"), ("deploy",), environment={"PPOCR_STOCK_URL": SERVICE}),
    Step("image", pytest("tests/image", *without(GPU_IMAGE)), after=("deploy-again",)),
    # Its own step: cold, it fetches 2 GB and builds for minutes.
    Step("gpu-image", pytest("-s", GPU_IMAGE), after=("deploy",), timeout=900),
    Step("service", pytest("tests/service", "--browser"), after=("image",), timeout=3000),
    # That it works; what it measures beside all this says nothing.
    Step("bench", script("bench", *SHORT_BENCH, "--out=build/bench"), ("stock",), 1200),
]


#: What --quick runs.
QUICK = (
    "ruff", "format", "yamllint", "shell", "spelling", "types", "settings", "ansible-lint", "unit",
)  # fmt: skip


def quickened(step: Step) -> Step:
    """The step as it is run with --quick: unit tests without the slow ones, on two CPUs."""
    if step.name != "unit":
        return step
    return dataclasses.replace(
        step, command=[*step.command, "-m", "not slow", "-n", "2", "--dist", "loadfile"]
    )


def choose(names: set[str], full: bool) -> list[Step]:
    """The steps of these names, where lab stands for all of the lab; without names, every step.

    Those for --full only are left out without it, unless they are named themselves.
    """
    return [
        step
        for step in STEPS
        if step.name in names
        or ((not names or (step.lab and "lab" in names)) and (full or not step.full))
    ]


#: Requests of the long soak; 2 cores take about five minutes for it.
LONG_SOAK = 2000


def with_long_soak(step: Step) -> Step:
    """The step as it is run with --full."""
    if step.name != "service":
        return step
    command = [*step.command, f"--soak-requests={LONG_SOAK}"]
    return dataclasses.replace(step, command=command, timeout=2 * step.timeout)


@dataclasses.dataclass(frozen=True)
class Result:
    step: Step
    status: int
    seconds: float
    output: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def counts(self) -> dict[str, int]:
        """Tests by outcome, from pytest's closing line; a step without one counts as one test."""
        found = {name.rstrip("s"): int(n) for n, name in _COUNTS.findall(self.output[-300:])}
        if "pytest" in self.step.command and found:
            return {
                "passed": found.get("passed", 0),
                "failed": found.get("failed", 0) + found.get("error", 0) or int(not self.ok),
                "skipped": found.get("skipped", 0),
            }
        return {"passed": int(self.ok), "failed": int(not self.ok), "skipped": 0}


def run(step: Step, prefix: Sequence[str] = ()) -> Result:
    """Run a step; ``prefix`` goes before its command."""
    started = time.monotonic()
    log = LOGS / f"{step.name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*prefix, *step.command],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **step.environment},
        )
        _processes.append(process)
        try:
            status = process.wait(step.timeout)
        except subprocess.TimeoutExpired:
            process.terminate()  # pytest takes its lab hosts down
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TO_END)
            process.kill()
            file.write(f"\nstopped: took longer than {step.timeout} s\n")
            status = 124
    output = log.read_text(errors="replace")
    if (
        step.name == "deploy-again"
        and status == 0
        and not re.search(r"changed=0 .*failed=0", output)
    ):
        output += "\na second deploy changed something\n"
        status = 1
    return Result(step, status, time.monotonic() - started, output)


def run_slowed(step: Step, cpus: float) -> Result:
    """Run a step with a share of the CPUs for it and its containers together."""
    environment = {**step.environment, **slowed.environment(step.name)}
    timeout = int(step.timeout * max(1, 2 / cpus))
    with slowed.share(step.name, cpus) as processes:
        enter = ["sh", "-c", f'echo $$ >{processes}; exec "$@"', "sh"]
        return run(dataclasses.replace(step, environment=environment, timeout=timeout), enter)


def show(result: Result) -> None:
    print(
        f"--- {result.step.name}: {'ok' if result.ok else 'FAILED'} in {result.seconds:.0f} s",
        flush=True,
    )
    lines = result.output.splitlines()
    print("\n".join(lines[-12:] if result.ok else lines[-250:]), flush=True)


def run_all(steps: Sequence[Step], one: Callable[[Step], Result] = run) -> list[Result]:
    """Run the steps, PARALLEL at once and PARALLEL_LAB of the lab, each after those it names."""
    waiting = list(steps)
    results: dict[str, Result] = {}
    chosen = {step.name for step in steps}
    running: dict[Future[Result], Step] = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        while waiting or running:
            for step in list(waiting):
                before = chosen.intersection(step.after)
                in_lab = sum(other.lab for other in running.values())
                if step.lab and in_lab == PARALLEL_LAB:
                    continue
                if len(running) < PARALLEL and before <= results.keys():
                    waiting.remove(step)
                    print(f"... {step.name}", flush=True)
                    running[pool.submit(one, step)] = step
            if running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    step = running.pop(future)
                    results[step.name] = future.result()
                    show(results[step.name])
    return list(results.values())


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    """Steps are not left behind when this program is told to end."""
    for process in _processes:
        process.terminate()
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__)
    parser.add_argument(
        "steps",
        nargs="*",
        help=f"some of: lab (all of lab-...), {', '.join(step.name for step in STEPS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="linters, and unit tests without the slow ones"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"with a soak of {LONG_SOAK} requests instead of a short one, and tests of the lab "
        "itself",
    )
    parser.add_argument(
        "--cpus",
        type=float,
        metavar="N",
        help="give each step, with its containers, so many CPUs, such as 0.25: a slow machine",
    )
    args = parser.parse_args()
    unknown = set(args.steps) - {"lab", *(step.name for step in STEPS)}
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    steps = choose(set(args.steps) or (set(QUICK) if args.quick else set()), args.full)
    steps = [with_long_soak(step) if args.full else step for step in steps]
    steps = [quickened(step) if args.quick else step for step in steps]
    one = functools.partial(run_slowed, cpus=args.cpus) if args.cpus else run
    results = run_all(steps, one)

    print("\nslowest steps:")
    for result in sorted(results, key=lambda result: -result.seconds)[:6]:
        print(f"  {result.seconds:6.0f} s  {result.step.name}")
    print(f"  {time.monotonic() - started:6.0f} s  in all")
    failed = [result.step.name for result in results if not result.ok]
    if failed:
        print(f"failed steps: {', '.join(failed)} (logs in {LOGS.relative_to(ROOT)})")
    total = {key: sum(r.counts[key] for r in results) for key in ("passed", "failed", "skipped")}
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
