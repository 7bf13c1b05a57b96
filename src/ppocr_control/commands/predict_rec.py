"""Reads pictures of single lines with a model folder and a dictionary, without starting a service.

Takes the options of PaddleOCR's tools/infer/predict_rec.py and prints its lines. The service's own
engine reads, in a container of its image without a network; nothing of your folders is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker

from ppocr_contract.models import DICTIONARY_FILE, ModelError, check_model
from ppocr_contract.params import ParamsError, RecParams, check

from .. import command_line, version
from ..docker_engine.engine import endpoint, is_local, local_engine
from ..errors import FAILED, OK, REFUSED, Error, Refused

EPILOG = """\
examples:
  scripts/predict_rec.py --image_dir word.png --rec_model_dir rec/
  scripts/predict_rec.py --image_dir lines/ --rec_model_dir rec/ --rec_char_dict_path dict.txt
"""
#: What PaddleOCR takes for pictures (get_image_file_list).
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif"}
_DEFAULTS = RecParams()


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--image_dir", type=Path, required=True, help="a picture, or a folder of them"
    )
    parser.add_argument(
        "--rec_model_dir", type=Path, required=True, help="folder of an exported recognition model"
    )
    parser.add_argument(
        "--rec_char_dict_path",
        type=Path,
        help="dictionary the model was trained with (default: dict.txt in its folder)",
    )
    parser.add_argument(
        "--rec_image_shape",
        default=_DEFAULTS.rec_image_shape,
        help="channels, height and least width (default: %(default)s; PP-OCRv2 3,32,320)",
    )
    parser.add_argument(
        "--use_space_char",
        type=str.lower,
        choices=["true", "false"],
        default="true",
        help="whether the model was trained with a blank besides the dictionary (default: true)",
    )
    parser.add_argument(
        "--image",
        default=f"ppocr:{version.current()}",
        help="image of the service (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _pictures(where: Path) -> list[Path]:
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise Refused(f"--image_dir: {where} does not exist")
    found = sorted(path for path in where.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise Refused(f"--image_dir: {where} has no picture ({', '.join(sorted(_SUFFIXES))})")
    return found


def _dictionary(args: Namespace) -> Path:
    path: Path = args.rec_char_dict_path or args.rec_model_dir / DICTIONARY_FILE
    if not path.is_file():
        raise Refused(
            f"--rec_char_dict_path: {path} does not exist: name the dictionary the model was "
            "trained with"
        )
    return path


def _require(args: Namespace) -> None:
    """Refuse what cannot be read with.

    Raises:
        Refused: naming the option.
    """
    try:
        check_model(args.rec_model_dir)
    except ModelError as error:
        raise Refused(f"--rec_model_dir: {error}") from error
    try:
        check({"rec_image_shape": args.rec_image_shape})
    except ParamsError as error:
        raise Refused(f"--{error}") from error
    if not is_local():
        raise Refused(f"{endpoint().origin} is another machine, which has none of these files")
    try:
        local_engine().api.inspect_image(args.image)
    except docker.errors.ImageNotFound as error:
        raise Refused(
            f"--image: no image {args.image}: build it with scripts/build_image.py"
        ) from error


def _command(args: Namespace, pictures: list[Path]) -> list[str]:
    mounts = {args.rec_model_dir: "/in/model", _dictionary(args): "/in/dictionary"}
    names = [f"/in/pictures/{path.name}" for path in pictures]
    mounts[args.image_dir] = names[0] if args.image_dir.is_file() else "/in/pictures"
    binds = [f"type=bind,readonly,src={path.resolve()},dst={to}" for path, to in mounts.items()]
    return [
        "docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp",
        "--cap-drop=ALL", "--security-opt=no-new-privileges", "--entrypoint=python",
        # Your own files, which nobody else may be allowed to read.
        f"--user={os.getuid()}:{os.getgid()}", "--env=HOME=/tmp",
        *(f"--mount={bind}" for bind in binds),
        args.image, "-m", "ppocr_serving.predict_rec",
        "--rec_model_dir=/in/model", "--rec_char_dict_path=/in/dictionary",
        f"--rec_image_shape={args.rec_image_shape}", f"--use_space_char={args.use_space_char}",
        "--", *names,
    ]  # fmt: skip


def _answers(command: list[str]) -> Iterator[dict[str, Any]]:
    """What the container prints, as it does.

    Raises:
        Refused: model, dictionary and shape do not go together.
        Error: it ended for another reason; with what it said last.
    """
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        assert running.stdout
        yield from map(json.loads, running.stdout)
        status = running.wait()
        log.seek(0)
        said = log.read().strip().rpartition("\n")[2]
    if status:
        said = said.replace("/in/dictionary", "the dictionary").replace("/in/model", "the model")
        raise (Refused if status == REFUSED else Error)(said or f"docker run ended with {status}")


def work(args: Namespace) -> tuple[int, Any, str]:
    pictures = _pictures(args.image_dir)
    _require(args)
    results = []
    for path, found in zip(pictures, _answers(_command(args, pictures)), strict=True):
        results.append({**found, "picture": str(path)})
        if args.json:
            continue
        said = found.get("error") or (found["text"], found["score"])
        print(f"Predicts of {path}:{said}", flush=True)
    unread = sum("error" in each for each in results)
    summary = f"{unread} of {len(results)} pictures cannot be read" if unread else ""
    return FAILED if unread else OK, results, summary


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
