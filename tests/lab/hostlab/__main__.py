"""The command line of scripts/lab."""

from __future__ import annotations

import argparse
import os
import sys

from .engine import LABEL, LabError, containers, require_engine
from .host import Host
from .lab import Lab, all_labs
from .spec import HostSpec

DEFAULT_HOSTS = ("web1:bookworm:root:22", "web2:trixie:ops:2222")
EPILOG = """\
examples:
  scripts/lab up                                   one bookworm host (root, port 22),
                                                   one trixie host (user ops with sudo, port 2222)
  scripts/lab up --hosts a:trixie b:bookworm:ops   other hosts
  scripts/lab up --internal --name airgap          hosts without a way out
  ansible-playbook -i "$(scripts/lab inventory)" playbooks/deploy.yml
  scripts/lab ssh web1 docker ps
  scripts/lab down
"""


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(
        prog="scripts/lab",
        description="Hosts to try a deploy on: systemd, sshd and a Docker engine of their own.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.add_argument("--name", default="lab", help="which lab (default: %(default)s)")
        return sub

    up = command("up", "bring hosts up; those that are up already are kept")
    up.add_argument(
        "--hosts", nargs="+", metavar="NAME:SUITE[:USER[:PORT]]", default=list(DEFAULT_HOSTS),
        help="suites: bullseye, bookworm, trixie (default: %(default)s)",
    )  # fmt: skip
    up.add_argument("--internal", action="store_true", help="on a network without a way out")
    up.add_argument("--engine", action="store_true", help="with a Docker engine installed already")
    up.add_argument("--memory", type=int, metavar="MB", help="memory limit of each host")
    up.add_argument(
        "--sudo", choices=["nopasswd", "password", "none"], default="nopasswd",
        help="what users other than root may do (default: %(default)s)",
    )  # fmt: skip
    status = command("status", "list the hosts and how they are")
    status.add_argument("--all", action="store_true", help="of every lab on this machine")
    ssh = command("ssh", "log in to a host, or run a command there, as its own user")
    ssh.add_argument("host")
    ssh.add_argument("remote", nargs=argparse.REMAINDER, metavar="command")
    command("inventory", "print the path of the Ansible inventory")
    down = command("down", "remove the hosts, with their volumes and networks")
    down.add_argument("--all", action="store_true", help="every lab on this machine")
    return main


def table(hosts: list[Host], states: dict[str, str]) -> str:
    """One row a host."""
    rows = [("LAB", "HOST", "SUITE", "LOGIN", "ENGINE", "NETWORK", "STATE")]
    for host in hosts:
        login = f"{host.user}@{host.address}:{host.port}"
        state = states.get(host.container, "gone")
        if state == "running":
            state = host.run("systemctl is-system-running", check=False).stdout.strip() or state
        spec = host.spec
        rows.append((host.lab, host.name, spec.suite, login, spec.engine, spec.network, state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def show(labs: list[str]) -> None:
    hosts = [host for lab in labs for host in Lab(lab).hosts()]
    states = {found["Name"].lstrip("/"): found["State"]["Status"] for found in containers(LABEL)}
    print(table(hosts, states) if hosts else "no hosts")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = parser().parse_args(arguments)
    require_engine()
    if args.command == "up":
        lab = Lab(args.name)
        engine = "installed" if args.engine else "none"
        network = "internal" if args.internal else "normal"
        lab.up(
            HostSpec.parse(
                text, sudo=args.sudo, engine=engine, network=network, memory_mb=args.memory
            )
            for text in args.hosts
        )
        show([args.name])
        print(f"\ninventory: {lab.inventory}")
    elif args.command == "status":
        show(all_labs() if args.all else [args.name])
    elif args.command == "ssh":
        call = Lab(args.name).host(args.host).ssh_command()
        os.execvp(call[0], [*call, *args.remote])  # noqa: S606
    elif args.command == "inventory":
        lab = Lab(args.name)
        if not lab.inventory.exists():
            raise LabError(f"lab {args.name} is not up: scripts/lab up --name {args.name}")
        print(lab.inventory)
    elif args.command == "down":
        for name in all_labs() if args.all else [args.name]:
            Lab(name).down()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
