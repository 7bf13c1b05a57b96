"""Compare a service's ocr_system answers with the stock pipeline's, picture by picture.

    python tests/stock/compare.py URL|JSON [--samples DIR] [--pixels 3] [--confidence 0.02]

URL is a hubserving service with the same models and settings as predict.py; JSON is a file with
its answers, as predict.py writes them. The stock side runs in the throw-away environment, unless
--stock names a file with its answers. Ends with 1 when something differs.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from stock_environment import HERE, SAMPLES_DIR, pictures, stock_python, stock_variables

Lines = list[dict[str, Any]]


@dataclass
class Difference:
    """How one picture's answers differ: corners in pixels, confidence from 0 to 1."""

    picture: str
    ours: int
    stock: int
    corner: int = 0
    confidence: float = 0.0
    problems: list[str] = field(default_factory=list)


def compare_lines(
    picture: str, ours: Lines, stock: Lines, pixels: int, confidence: float
) -> Difference:
    """Compare two answers to one picture: lines, text, corners, confidence, in their order."""
    result = Difference(picture, len(ours), len(stock))
    if len(ours) != len(stock):
        result.problems.append(f"{len(ours)} lines, stock has {len(stock)}")
        return result
    for number, (mine, theirs) in enumerate(zip(ours, stock, strict=True), 1):
        if mine["text"] != theirs["text"]:
            result.problems.append(f"line {number}: {mine['text']!r}, stock {theirs['text']!r}")
        corner = max(
            abs(a - b)
            for left, right in zip(mine["text_region"], theirs["text_region"], strict=True)
            for a, b in zip(left, right, strict=True)
        )
        apart = abs(mine["confidence"] - theirs["confidence"])
        if corner > pixels:
            result.problems.append(f"line {number}: a corner is {corner} pixels off")
        if apart > confidence:
            result.problems.append(f"line {number}: confidence differs by {apart:.4f}")
        result.corner = max(result.corner, corner)
        result.confidence = max(result.confidence, apart)
    return result


def ask_service(url: str, files: Sequence[Path], timeout: float = 120) -> dict[str, Lines]:
    """Return the service's lines of each picture; ``timeout`` in seconds.

    Raises SystemExit with one sentence when the service does not answer with success.
    """
    target = url if "/predict/" in url else f"{url.rstrip('/')}/predict/ocr_system"
    session = requests.Session()
    session.trust_env = False
    token = os.environ.get("PPOCR_SMOKE_TOKEN")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    answers = {}
    for path in files:
        body = {"images": [base64.b64encode(path.read_bytes()).decode("ascii")]}
        try:
            answer = session.post(target, json=body, timeout=timeout).json()
        except (requests.RequestException, ValueError) as error:
            raise SystemExit(f"{target} gave no answer: {error}") from None
        if answer.get("status") != "000":
            raise SystemExit(f"{target} answered {path.name} with {answer}")
        answers[path.name] = answer["results"][0]
    return answers


def read_answers(path: Path) -> dict[str, Lines]:
    """Return the lines of each picture from a file as predict.py writes it."""
    answer = json.loads(path.read_text(encoding="utf-8"))
    return dict(zip(answer["files"], answer["results"], strict=True))


def ask_stock(files: Sequence[Path], use_angle_cls: bool = True) -> dict[str, Lines]:
    """Return the stock pipeline's lines of each picture, from its own environment.

    Raises subprocess.CalledProcessError when it fails.
    """
    options = [] if use_angle_cls else ["--no-angle-cls"]
    done = subprocess.run(
        [str(stock_python()), str(HERE / "predict.py"), *options, *map(str, files)],
        check=True,
        stdout=subprocess.PIPE,
        env=stock_variables(),
    )
    answer = json.loads(done.stdout)
    return dict(zip(answer["files"], answer["results"], strict=True))


def compare_answers(
    ours: dict[str, Lines], stock: dict[str, Lines], pixels: int = 3, confidence: float = 0.02
) -> list[Difference]:
    """Compare the answers to every picture of the stock side."""
    found = []
    for picture, lines in stock.items():
        if picture in ours:
            found.append(compare_lines(picture, ours[picture], lines, pixels, confidence))
        else:
            found.append(Difference(picture, 0, len(lines), problems=["no answer to compare"]))
    return found


def table(differences: Sequence[Difference]) -> list[str]:
    """Return the comparison as lines of text."""
    lines = [f"{'picture':<22}{'lines':>7}{'stock':>7}{'corner px':>11}{'confidence':>12}  verdict"]
    for item in differences:
        verdict = "DIFFERS" if item.problems else "same"
        lines.append(
            f"{item.picture:<22}{item.ours:>7}{item.stock:>7}{item.corner:>11}"
            f"{item.confidence:>12.5f}  {verdict}"
        )
        lines += [f"    {problem}" for problem in item.problems]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 when something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("service", metavar="URL|JSON", help="service, or file with its answers")
    parser.add_argument("--samples", type=Path, default=SAMPLES_DIR, help="folder of pictures")
    parser.add_argument("--pixels", type=int, default=3, help="corners may be this far apart")
    parser.add_argument("--confidence", type=float, default=0.02, help="and confidences this far")
    parser.add_argument("--stock", type=Path, metavar="JSON", help="stock answers, made before")
    parser.add_argument(
        "--no-angle-cls", action="store_true", help="stock side without the direction classifier"
    )
    args = parser.parse_args(argv)
    files = pictures(args.samples)
    if args.service.startswith(("http://", "https://")):
        ours = ask_service(args.service, files)
    else:
        ours = read_answers(Path(args.service))
    stock = read_answers(args.stock) if args.stock else ask_stock(files, not args.no_angle_cls)
    differences = compare_answers(ours, stock, args.pixels, args.confidence)
    print("\n".join(table(differences)))
    return int(any(item.problems for item in differences))


if __name__ == "__main__":
    sys.exit(main())
