"""Run PaddleOCR's own client, tools/test_hubserving.py, unchanged against a service.

    python tests/stock/hubserving_client.py URL [--modules ocr_det,ocr_cls,ocr_rec,ocr_system]

The client comes from the paddleocr 2.10.0 wheel in the throw-away environment. Each module is
tried without and with --visualize; exit status and output are checked. Ends with 1 on a failure.

One fault is the client's own: with --visualize and ocr_system, 2.10.0 calls its draw_ocr with an
argument that function does not have, after the answer was read. That exact error is expected, and
any other is a failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stock_environment import SAMPLES_DIR, pictures, stock_python, stock_variables

MODULES = ("ocr_det", "ocr_cls", "ocr_rec", "ocr_system")
# What the client logs of each module's answer.
ANSWER_KEY = {"ocr_det": "text_region", "ocr_cls": "angle", "ocr_rec": "text", "ocr_system": "text"}
CLIENT_FAULT = "draw_ocr() got an unexpected keyword argument 'draw_txt'"
FIND_CLIENT = (
    "import importlib.util, pathlib;"
    "root = importlib.util.find_spec('paddleocr').submodule_search_locations[0];"
    "print(pathlib.Path(root) / 'tools' / 'test_hubserving.py')"
)


@dataclass(frozen=True)
class ClientRun:
    """One run of the client: its exit status, its output and the pictures it drew."""

    module: str
    visualize: bool
    status: int
    output: str
    drawn: tuple[str, ...]


def run_client(base_url: str, module: str, folder: Path, visualize: bool) -> ClientRun:
    """Run the client on all pictures of a folder against one module."""
    python = str(stock_python())
    client = subprocess.run(
        [python, "-c", FIND_CLIENT], check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="ppocr-client-") as work:
        drawn = Path(work) / "drawn"
        done = subprocess.run(
            [
                python,
                client,
                f"--server_url={base_url.rstrip('/')}/predict/{module}",
                f"--image_dir={folder}",
                f"--visualize={str(visualize).lower()}",
                f"--output={drawn}",
            ],
            cwd=work,
            env=stock_variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        names = tuple(sorted(path.name for path in drawn.iterdir())) if drawn.is_dir() else ()
    return ClientRun(module, visualize, done.returncode, done.stdout, names)


def check_run(run: ClientRun, files: list[str]) -> list[str]:
    """Return what is wrong with a run of the client on the named pictures."""
    if run.visualize and run.module == "ocr_system":
        if run.status == 1 and run.output.rstrip().endswith(CLIENT_FAULT):
            return []
        return [f"exit status {run.status} without the client's known fault", run.output[-600:]]
    if run.status != 0:
        return [f"exit status {run.status}", run.output[-600:]]
    problems = [name for name in files if f"/{name}: " not in run.output]
    problems = [f"{name}: no time was logged" for name in problems]
    if f"'{ANSWER_KEY[run.module]}'" not in run.output:
        problems.append(f"no {ANSWER_KEY[run.module]!r} in what it read")
    if "avg time cost" not in run.output:
        problems.append("it did not come to its end")
    if run.visualize and run.module == "ocr_det" and list(run.drawn) != sorted(files):
        problems.append(f"it drew {run.drawn}")
    return problems


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 when a run is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="base URL of the service")
    parser.add_argument("--modules", default=",".join(MODULES), help="modules to try")
    parser.add_argument("--samples", type=Path, default=SAMPLES_DIR, help="folder of pictures")
    args = parser.parse_args(argv)
    files = [path.name for path in pictures(args.samples)]
    failed = False
    for module in args.modules.split(","):
        for visualize in (False, True):
            run = run_client(args.url, module, args.samples, visualize)
            problems = check_run(run, files)
            known = " (its own known fault)" if not problems and run.status else ""
            verdict = "FAILED" if problems else f"ok{known}"
            drawn = f", {len(run.drawn)} pictures drawn" if run.drawn else ""
            print(f"{module:<11} visualize={visualize!s:<5} exit {run.status}{drawn}  {verdict}")
            for problem in problems:
                print(f"    {problem}")
            failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
