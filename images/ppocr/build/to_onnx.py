"""Converts Paddle's models to ONNX, in place, and compares each with its original.

Which ones, ``convert.txt`` beside this file says: what Paddle 3 wrote, and where the engine reads
ONNX only, what Paddle 2 wrote, too.

A model that paddle2onnx cannot convert, or that answers otherwise afterwards, ends the build with
one sentence: the stage, the file, the operator. paddle2onnx ends in many ways, among them with a
signal, or well and with no file; so it runs in a process of its own, and what counts is the file.
"""

from __future__ import annotations

import bisect
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ppocr_contract.models import (
    ONNX_FILE,
    PARAMETER_FILES,
    check_model,
    setting_of,
    stage_of,
    write_manifest,
)  # fmt: skip

HERE = Path(__file__).parent
PADDLE_2, PROGRAM, PARAMETERS = "inference.pdmodel", "inference.json", "inference.pdiparams"
#: By a model's program: one of Paddle 2 is converted only where the engine is onnxruntime.
_REMEDIES = {
    PADDLE_2: "give the model as .onnx, or set hubserving_engine to paddle",
    PROGRAM: "give the model as .onnx, or exported by Paddle 2 (inference.pdmodel)",
}
#: Where an error message of paddle2onnx begins, among colours and times.
_ERROR = re.compile(r"\[ERROR\](?:\[Paddle2ONNX\])?\s*(?P<said>.+?)\s*(?:\x1b|$)", re.MULTILINE)


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)


def converted(python: Path, folder: Path) -> str:
    """Write the folder's model as ONNX beside it; return paddle2onnx's error if it fails."""
    target = folder / ONNX_FILE
    done = run(
        python, "-m", "paddle2onnx.command", "--optimize_tool=None", f"--model_dir={folder}",
        f"--model_filename={PROGRAM}", f"--params_filename={PARAMETERS}", f"--save_file={target}",
    )  # fmt: skip
    if target.is_file() and target.stat().st_size and not done.returncode:
        return ""
    error = _ERROR.search(done.stdout + done.stderr)
    return error["said"] if error else f"it ended with {done.returncode} and wrote no model"


def operator_at_fault(python: Path, folder: Path) -> str:
    """The first operator of a program that cannot be converted with what comes before it.

    Empty where the program is none that can be taken apart.
    """
    try:
        return _operator_at_fault(python, folder)
    except (ValueError, LookupError, TypeError):
        return ""


def _operator_at_fault(python: Path, folder: Path) -> str:
    whole = json.loads((folder / PROGRAM).read_text())
    block = whole["program"]["regions"][0]["blocks"][0]
    *operators, fetch = block["ops"]
    results = [i for i, op in enumerate(operators) if isinstance(op["O"], list) and op["O"]]

    def fails(index: int) -> bool:
        with tempfile.TemporaryDirectory() as part:
            block["ops"] = [*operators[: index + 1], _fetching(fetch, operators[index])]
            Path(part, PROGRAM).write_text(json.dumps(whole))
            Path(part, PARAMETERS).symlink_to(folder / PARAMETERS)
            return bool(converted(python, Path(part)))

    first = bisect.bisect_left(results, True, key=fails)
    name = operators[results[min(first, len(results) - 1)]]["#"]
    return str(name).rpartition(".")[2]


def _fetching(fetch: dict[str, Any], operator: dict[str, Any]) -> dict[str, Any]:
    """A fetch operator that hands out what another one makes."""
    made = operator["O"][0]
    result = {**fetch["O"][0], "TT": made["TT"]}
    return {**fetch, "I": [{"%": made["%"]}], "O": [result]}


def convert(python: Path, folder: Path, place: str) -> None:
    """Replace the folder's model by the same as ONNX, or end with one sentence."""
    program = check_model(folder)
    what = f"{setting_of(place)}: {program.name} cannot be converted to ONNX"
    remedy = _REMEDIES[program.name]
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, folder.name)
        made.mkdir()
        if program.name == PADDLE_2:
            translated = run(python, str(HERE / "from_paddle_2.py"), str(folder), str(made))
            if translated.returncode:
                sys.exit(f"{what}, Paddle 3 cannot read it ({_last_line(translated)}): {remedy}")
        else:
            for name in (PROGRAM, PARAMETERS):
                (made / name).symlink_to(folder / name)
        if said := converted(python, made):
            operator = operator_at_fault(python, made)
            where = f"on operator {operator}" if operator else "on the file"
            sys.exit(f"{what}, paddle2onnx fails {where} ({said}): {remedy}")
        proof = run(python, str(HERE / "prove_onnx.py"), str(made), str(folder), stage_of(place))
        if proof.returncode:
            sys.exit(f"{what}, {_last_line(proof)}: {remedy}")
        shutil.copyfile(made / ONNX_FILE, folder / ONNX_FILE)
    print(f"note: model {place} was converted to ONNX: {proof.stdout.strip()}")
    for name in (program.name, *PARAMETER_FILES):
        (folder / name).unlink(missing_ok=True)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a program printed, or how it ended."""
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    return "".join(last) or f"it ended with {done.returncode}"


def main(converter: Path, models: Path) -> None:
    places = (HERE / "convert.txt").read_text().split()
    for place in places:
        convert(converter / "bin/python", models / place, place)
    if places:
        write_manifest(models)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
