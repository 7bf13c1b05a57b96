"""The hosts of an Ansible inventory, for commands that reach them without Ansible."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.cli import CLI
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

from ..errors import Refused
from .openssh import Login

GROUP = "ppocr_hosts"


@dataclass(frozen=True)
class InventoryHost:
    """A host of the inventory.

    Attributes:
        name: in the inventory.
        address: [user@]host[:port]; empty for this machine.
        login: how to log in there.
    """

    name: str
    address: str
    login: Login


@dataclass(frozen=True)
class Vault:
    """Where passwords of vaults come from, as for ansible-playbook."""

    files: tuple[str, ...] = ()
    ask: bool = False


def hosts(
    sources: list[str], limit: str = "", group: str = GROUP, vault: Vault | None = None
) -> list[InventoryHost]:
    """Read the hosts of a group with Ansible's own rules, templates and vaults included.

    Args:
        sources: files or folders, as ansible-playbook takes them with -i.
        limit: a pattern, as with --limit; empty for all.

    Raises:
        Refused: the inventory cannot be read, or the group has no host that the limit leaves.
    """
    vault = vault or Vault()
    loader = DataLoader()
    try:
        secrets = CLI.setup_vault_secrets(
            loader, [], list(vault.files), ask_vault_pass=vault.ask, auto_prompt=False
        )
        loader.set_vault_secrets(secrets)
        inventory = InventoryManager(loader=loader, sources=sources)
        inventory.subset(limit or None)
        variables = VariableManager(loader=loader, inventory=inventory)
        found = inventory.get_hosts(group) if group in inventory.groups else []
        read = [_host(host.name, _values(loader, variables, host)) for host in found]
    except AnsibleError as error:
        raise Refused(f"the inventory cannot be read: {error}") from error
    if not read:
        left = f" that {limit} leaves" if limit else ""
        raise Refused(
            f"{group} has no host in {', '.join(sources)}{left}: name your inventory with -i, "
            "and hosts of it with --limit"
        )
    return read


#: Names of a variable, the one that counts most first.
_NAMES = {
    "connection": ("ansible_connection",),
    "host": ("ansible_ssh_host", "ansible_host"),
    "user": ("ansible_ssh_user", "ansible_user"),
    "port": ("ansible_ssh_port", "ansible_port"),
    "key": ("ansible_ssh_private_key_file", "ansible_private_key_file"),
    "password": ("ansible_ssh_password", "ansible_ssh_pass", "ansible_password"),
    "sudo_password": ("ansible_become_password", "ansible_become_pass"),
    "common": ("ansible_ssh_common_args",),
    "extra": ("ansible_ssh_extra_args",),
}


def _values(loader: DataLoader, variables: VariableManager, host: Any) -> dict[str, str]:
    """Return what the inventory says of a host's connection; what it leaves open is ''."""
    given = variables.get_vars(host=host)
    templar = Templar(loader=loader, variables=given)
    values = {}
    for key, names in _NAMES.items():
        name = next((name for name in names if name in given), "")
        values[key] = str(templar.template(given[name])) if name else ""
    return values


def _host(name: str, values: dict[str, str]) -> InventoryHost:
    if values["connection"] == "local":
        return InventoryHost(name, "", Login())
    host = values["host"] or name
    return InventoryHost(
        name,
        f"[{host}]" if ":" in host else host,
        Login(
            user=values["user"] or None,
            port=int(values["port"]) if values["port"] else None,
            key=Path(values["key"]) if values["key"] else None,
            password=values["password"] or None,
            sudo_password=values["sudo_password"] or None,
            options=tuple(shlex.split(f"{values['common']} {values['extra']}")),
        ),
    )
