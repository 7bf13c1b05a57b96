"""Prints the logs of the service's containers on the hosts of an inventory, as they were written.

Each line is JSON, one request or event, for jq and the like. The lines of several hosts are put in
the order of time. Hosts are reached through OpenSSH, this machine directly; nothing is changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import command_line
from ..container_logs import Line, Logs, Start
from ..errors import OK
from ..ssh import inventory, login_options
from ..ssh.host import SshHost

ROOT = Path(__file__).parents[3]
EPILOG = """\
examples:
  scripts/logs                                       this machine's last 100 lines
  scripts/logs -i my -f --prefix                     all hosts, as they are written
  scripts/logs -i my --limit ocr1 -n 1000 | jq -R 'fromjson? | select(.code >= 500)'
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.prog = "logs"
    parser.add_argument(
        "-i", "--inventory", action="append", help="inventory (default: this machine; repeatable)"
    )
    parser.add_argument("--limit", default="", metavar="HOSTS", help="hosts, as ansible takes them")
    parser.add_argument(
        "--group", default=inventory.GROUP, help="group of the inventory (default: %(default)s)"
    )
    parser.add_argument(
        "-n", "--lines", type=int, default=100, help="last lines of each container (default: 100)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    parser.add_argument(
        "--prefix", action="store_true", help="put host and container before each line"
    )
    login_options.add_accept_new(parser)
    parser.add_argument(
        "--vault-password-file", action="append", default=[], help="as for ansible-playbook"
    )
    parser.add_argument("--ask-vault-pass", action="store_true", help="as for ansible-playbook")
    parser.add_argument(
        "-K", "--ask-become-pass", action="store_true", help="ask for the sudo password"
    )
    return parser.parse_args(arguments)


def here(script: str) -> subprocess.Popen[bytes]:
    """Start a script on this machine, in a group of its own that it can end."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def printed(line: Line, args: Namespace) -> str:
    """Return what is printed of a line."""
    if args.lines_as_json:
        return json.dumps(line._asdict(), ensure_ascii=False)
    return f"{line.host} {line.container}: {line.text}" if args.prefix else line.text


def work(args: Namespace) -> tuple[int, Any, str]:
    vault = inventory.Vault(tuple(args.vault_password_file), args.ask_vault_pass)
    sources = args.inventory or [str(ROOT / "inventory/local")]
    listed = inventory.hosts(sources, args.limit, args.group, vault)
    _, password = login_options.ask(False, args.ask_become_pass)
    starts: dict[str, Start] = {}
    with contextlib.ExitStack() as connections:
        for host in listed:
            if not host.address:
                starts[host.name] = here
                continue
            more = login_options.ACCEPT_NEW if args.accept_new_host_keys else ()
            login = replace(
                host.login, options=(*more, *host.login.options),
                sudo_password=password or host.login.sudo_password,
            )  # fmt: skip
            starts[host.name] = connections.enter_context(SshHost(host.address, login)).start
        logs = connections.enter_context(Logs(starts, args.lines, args.follow))
        with contextlib.suppress(*[KeyboardInterrupt] * args.follow):  # how following is ended
            for line in logs:
                print(printed(line, args), flush=args.follow)
    for error in logs.errors.values():
        print(f"error: {error}", file=sys.stderr)
    return max((error.status for error in logs.errors.values()), default=OK), None, ""


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    # A line is the result: command_line would print another one at the end.
    args.lines_as_json, args.json = args.json, False
    try:
        return command_line.run(args, work)
    except BrokenPipeError:  # head, or less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


if __name__ == "__main__":
    sys.exit(main())
