"""Reads pictures of single lines with a recognition model, without starting a service.

Takes the options of PaddleOCR's tools/infer/predict_rec.py and prints its lines. The service's own
engine reads, in a container of its image without a network; nothing of your folders is changed.
"""

from __future__ import annotations

import csv
import io
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
from ppocr_training import dictionary

from .. import command_line, version
from ..docker_engine.engine import endpoint, is_local, local_engine
from ..errors import FAILED, OK, REFUSED, Error, Refused
from ..images import inference_yml

EPILOG = """\
examples:
  scripts/predict_rec.py --image_dir word.png --rec_model_dir rec/
  scripts/predict_rec.py --image_dir lines/ --rec_model_dir rec/ --rec_char_dict_path dict.txt
  scripts/predict_rec.py --image_dir lines/ --recognizer cyrillic
"""
#: What PaddleOCR takes for pictures (get_image_file_list).
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif"}
_DEFAULTS = RecParams()
#: Where the container has the pictures.
_PICTURES = "/in/pictures"


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--image_dir", type=Path, required=True, help="a picture, or a folder of them"
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--rec_model_dir", type=Path, help="folder of an exported recognition model")
    model.add_argument(
        "--recognizer",
        help="a recogniser of the image, as it describes itself: default, or a name of "
        "hubserving_recognizers",
    )
    parser.add_argument(
        "--rec_char_dict_path",
        type=Path,
        help="dictionary the model was trained with (default: the characters of inference.yml, or "
        "dict.txt, in its folder)",
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


def _described(model: Path) -> list[str]:
    """The characters the model's inference.yml names; none where it has none."""
    file = model / inference_yml.NAME
    try:
        return inference_yml.read(file, "rec").characters if file.is_file() else []
    except ModelError as error:
        raise Refused(f"--rec_model_dir: {error}") from error


def _dictionary(args: Namespace, described: Path) -> Path:
    """The dictionary to read with; that of inference.yml is written to ``described``."""
    characters = _described(args.rec_model_dir)
    if characters and not args.rec_char_dict_path:
        described.write_text("\n".join(characters) + "\n", encoding="utf-8")
        return described
    path: Path = args.rec_char_dict_path or args.rec_model_dir / DICTIONARY_FILE
    if not path.is_file():
        raise Refused(
            f"--rec_char_dict_path: {path} does not exist: name the dictionary the model was "
            "trained with"
        )
    for found in dictionary.check_file(path, "--rec_char_dict_path"):
        raise Refused(f"--rec_char_dict_path: {found.where}: {found.sentence}: {found.remedy}")
    known, where = characters, inference_yml.NAME
    own = args.rec_model_dir / DICTIONARY_FILE
    if not known and own.is_file() and not [*dictionary.check_file(own, "")]:
        known, where = dictionary.read(own), DICTIONARY_FILE  # playbooks/export.yml packs it
    if known and dictionary.read(path) != known:
        raise Refused(
            f"--rec_char_dict_path: {path} has other characters than the model's "
            f"{where}, or another order: leave the option out"
        )
    return path


def _require(args: Namespace) -> None:
    """Refuse what cannot be read with.

    Raises:
        Refused: naming the option.
    """
    if args.recognizer and args.rec_char_dict_path:
        raise Refused("--rec_char_dict_path: --recognizer has its own dictionary: leave one out")
    try:
        if args.rec_model_dir:
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


def _mount(source: Path, target: str) -> str:
    """The option of docker run, which takes the fields of a CSV line: paths may have commas."""
    line = io.StringIO()
    fields = ("type=bind", "readonly", f"src={source.resolve()}", f"dst={target}")
    csv.writer(line, lineterminator="").writerow(fields)
    return f"--mount={line.getvalue()}"


def _command(args: Namespace, folder: Path) -> list[str]:
    """The container that reads; ``folder`` is for what it is given beside your own files."""
    pictures = f"{_PICTURES}/{args.image_dir.name}" if args.image_dir.is_file() else _PICTURES
    mounts = [(args.image_dir, pictures)]
    options = [f"--recognizer={args.recognizer}"]
    if args.rec_model_dir:
        characters = _dictionary(args, folder / DICTIONARY_FILE)
        mounts += [(args.rec_model_dir, "/in/model"), (characters, "/in/dictionary")]
        options = [
            "--rec_model_dir=/in/model", "--rec_char_dict_path=/in/dictionary",
            f"--rec_image_shape={args.rec_image_shape}", f"--use_space_char={args.use_space_char}",
        ]  # fmt: skip
    return [
        "docker", "run", "--rm", "--interactive", "--network=none", "--read-only", "--tmpfs=/tmp",
        "--cap-drop=ALL", "--security-opt=no-new-privileges", "--entrypoint=python",
        # Your own files, which nobody else may be allowed to read.
        f"--user={os.getuid()}:{os.getgid()}", "--env=HOME=/tmp",
        *(_mount(source, target) for source, target in mounts),
        args.image, "-m", "ppocr_serving.predict_rec", *options,
    ]  # fmt: skip


def _answers(command: list[str], pictures: list[Path]) -> Iterator[dict[str, Any]]:
    """What the container prints, as it does.

    The pictures' names are its standard input: there is no limit to how many these may be.

    Raises:
        Refused: model, dictionary and shape do not go together.
        Error: it ended for another reason; with what it said last.
    """
    with tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as log:
        names.writelines(os.fsencode(f"{_PICTURES}/{path.name}\0") for path in pictures)
        names.seek(0)
        # As bytes, which are UTF-8 whatever the locale of this machine is.
        with subprocess.Popen(command, stdin=names, stdout=subprocess.PIPE, stderr=log) as running:
            assert running.stdout
            yield from map(json.loads, running.stdout)
        status = running.returncode
        log.seek(0)
        said = log.read().decode(errors="replace").strip().rpartition("\n")[2]
    if status:
        said = said.replace("/in/dictionary", "the dictionary").replace("/in/model", "the model")
        raise (Refused if status == REFUSED else Error)(said or f"docker run ended with {status}")


def work(args: Namespace) -> tuple[int, Any, str]:
    pictures = _pictures(args.image_dir)
    _require(args)
    results = []
    with tempfile.TemporaryDirectory(prefix="ppocr-rec.") as folder:
        command = _command(args, Path(folder))
        for path, found in zip(pictures, _answers(command, pictures), strict=True):
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
