"""Writes a model in the form of Paddle Serving: the folders serving_server and serving_client.

Takes the options of python -m paddle_serving_client.convert and writes its files, without that
package and without Paddle: it is no longer maintained, and needs Python 3.6 to 3.9 and
paddle.fluid, which Paddle 2.6 does not have. The model's folder is not changed.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..errors import OK, Refused
from ..images import paddle_program, paddle_serving

EPILOG = """\
example:
  scripts/convert_serving.py --dirname inference/my_det --model_filename inference.pdmodel \\
    --params_filename inference.pdiparams --serving_server my_det_serving \\
    --serving_client my_det_client
"""
#: What convert calls the files where no name is given.
_MODEL, _SERVED_MODEL, _SERVED_PARAMS = "__model__", "model.pdmodel", "params.pdiparams"


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--dirname", type=Path, required=True, help="folder of the exported model (Paddle 2)"
    )
    parser.add_argument("--model_filename", help=f"name of the program in it (default: {_MODEL})")
    parser.add_argument("--params_filename", help="name of the one file with all parameters in it")
    parser.add_argument(
        "--serving_server",
        type=Path,
        default=Path("serving_server"),
        help="folder to write for the server (default: %(default)s)",
    )
    parser.add_argument(
        "--serving_client",
        type=Path,
        default=Path("serving_client"),
        help="folder to write for the client (default: %(default)s)",
    )
    parser.add_argument(
        "--feed_alias_names", default="", help="names clients use for what goes in, with commas"
    )
    parser.add_argument(
        "--fetch_alias_names", default="", help="names clients use for what comes out, with commas"
    )
    parser.add_argument(
        "--show_proto",
        nargs="?",
        const="true",
        default="",
        help="print what the model takes and gives, and write nothing",
    )
    return parser.parse_args(arguments)


def _file(args: Namespace, option: str, default: str | None) -> Path:
    """The file an option names.

    Raises:
        Refused: it is not there, or is none that can be converted.
    """
    folder: Path = args.dirname
    if not folder.is_dir():
        raise Refused(f"--dirname: {folder} is no folder")
    name = getattr(args, option) or default
    if not name:
        raise Refused(f"--{option}: name the file with all parameters, such as inference.pdiparams")
    if Path(name).suffix in (".json", ".onnx"):
        raise Refused(
            f"--{option}: {name} is of Paddle 3 or ONNX, which Paddle Serving does not read: "
            "export the model as inference.pdmodel (Global.export_with_pir=false)"
        )
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
        raise Refused(f"--{option}: {path} does not exist; {folder} has {there}")
    return path


def _described(args: Namespace, program: Path) -> list[paddle_serving.Entry]:
    """What the model takes and gives, this by name, as convert has it."""
    try:
        taken, given = paddle_program.ends(program.read_bytes())
    except paddle_program.NotAProgram as error:
        raise Refused(f"--model_filename: {program} is {error}") from error
    given = sorted(given, key=lambda variable: variable.name)
    described = []
    for kind, variables in (("feed", taken), ("fetch", given)):
        option = f"{kind}_alias_names"
        aliases = list(filter(None, getattr(args, option).split(",")))
        try:
            described += paddle_serving.entries(kind, variables, aliases)
        except ValueError as error:
            raise Refused(f"--{option}: {error}") from error
    return described


def _require_new(args: Namespace) -> None:
    folders = {option: getattr(args, option) for option in ("serving_server", "serving_client")}
    for option, folder in folders.items():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Refused(f"--{option}: {folder} exists: remove it, or name another folder")
    server, client = (folder.resolve() for folder in folders.values())
    if server == client:
        raise Refused("--serving_server and --serving_client are the same folder")
    if server in client.parents or client in server.parents:
        raise Refused("of --serving_server and --serving_client one is in the other: name two")


def work(args: Namespace) -> tuple[int, Any, str]:
    program = _file(args, "model_filename", _MODEL)
    described = _described(args, program)
    if args.show_proto.lower() not in ("", "false"):
        return OK, {}, paddle_serving.config_text(described)
    parameters = _file(args, "params_filename", None)
    _require_new(args)
    model = {
        args.model_filename or _SERVED_MODEL: program,
        args.params_filename or _SERVED_PARAMS: parameters,
    }
    files = paddle_serving.write(described, model, args.serving_server, args.serving_client)
    return OK, {"files": files}, "\n".join(map(str, files))


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
