"""The options of commands that log in to hosts."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from .openssh import Login


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options named as ssh and scp name them."""
    group = parser.add_argument_group(
        "login", "your SSH config, keys and agent are used; host keys have to be known"
    )
    group.add_argument("-l", "--user", help="user on hosts that name none")
    group.add_argument("-P", "-p", "--port", type=int, help="SSH port of hosts that name none")
    group.add_argument("-i", "--key", type=Path, help="private key")
    group.add_argument("-J", "--jump", metavar="[USER@]HOST[:PORT]", help="jump host")
    group.add_argument(
        "-F", "--ssh-config", type=Path, metavar="FILE", help="SSH configuration to use"
    )
    group.add_argument("--ask-password", action="store_true", help="ask for the SSH password")
    group.add_argument(
        "-K", "--ask-sudo-password", action="store_true", help="ask for the sudo password"
    )
    group.add_argument(
        "--sudo", choices=["auto", "yes", "no"], default="auto",
        help="auto: where the user may not use Docker itself",
    )  # fmt: skip


def ask(login_asked: bool, sudo_asked: bool) -> tuple[str | None, str | None]:
    """Ask for the passwords on the terminal; neither is ever an argument."""
    password = getpass.getpass("SSH password: ") if login_asked else None
    if not sudo_asked:
        return password, None
    said = getpass.getpass("sudo password" + (" (empty for the same): " if login_asked else ": "))
    return password, said or password


def from_arguments(args: argparse.Namespace) -> Login:
    """The login the options describe; passwords are asked for here."""
    password, sudo_password = ask(args.ask_password, args.ask_sudo_password)
    return Login(
        user=args.user, port=args.port, key=args.key, jump=args.jump, config=args.ssh_config,
        password=password, sudo_password=sudo_password, sudo=args.sudo,
    )  # fmt: skip
