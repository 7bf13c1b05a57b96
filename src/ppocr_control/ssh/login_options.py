"""The options of commands that log in to hosts."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from .openssh import Login

#: ssh's option for accepting keys at first contact.
ACCEPT_NEW = ("-oStrictHostKeyChecking=accept-new",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options named as in ssh and scp."""
    group = parser.add_argument_group(
        "login", "your SSH config, keys and agent are used; host keys are checked"
    )
    group.add_argument("-l", "--user", help="user on hosts given without one")
    group.add_argument("-P", "-p", "--port", type=int, help="SSH port of hosts given without one")
    group.add_argument("-i", "--key", type=Path, help="private key")
    group.add_argument("-J", "--jump", metavar="[USER@]HOST[:PORT]", help="jump host")
    group.add_argument(
        "-F", "--ssh-config", type=Path, metavar="FILE", help="SSH configuration to use"
    )
    add_accept_new(group)
    group.add_argument("--ask-password", action="store_true", help="ask for the SSH password")
    group.add_argument(
        "-K", "--ask-sudo-password", action="store_true", help="ask for the sudo password"
    )
    group.add_argument(
        "--sudo", choices=["auto", "yes", "no"], default="auto",
        help="auto: only if the user may not use Docker directly",
    )  # fmt: skip


def add_accept_new(to: argparse._ActionsContainer) -> None:
    """Add the option that learns host keys, as scripts/deploy has it."""
    to.add_argument(
        "--accept-new-host-keys",
        action="store_true",
        help="at first contact: learn the keys of hosts that ssh does not know yet; a key that "
        "changed is refused",
    )


def ask(login_asked: bool, sudo_asked: bool) -> tuple[str | None, str | None]:
    """Ask for the passwords on the terminal; they are never command-line arguments."""
    password = getpass.getpass("SSH password: ") if login_asked else None
    if not sudo_asked:
        return password, None
    answer = getpass.getpass("sudo password" + (" (empty for the same): " if login_asked else ": "))
    return password, answer or password


def from_arguments(args: argparse.Namespace) -> Login:
    """Return the login the options describe; asks for passwords."""
    password, sudo_password = ask(args.ask_password, args.ask_sudo_password)
    return Login(
        user=args.user, port=args.port, key=args.key, jump=args.jump, config=args.ssh_config,
        password=password, sudo_password=sudo_password, sudo=args.sudo,
        options=ACCEPT_NEW if args.accept_new_host_keys else (),
    )  # fmt: skip
