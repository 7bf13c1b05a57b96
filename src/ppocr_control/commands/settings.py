"""Generate everything about settings and messages from the files that own them.

    scripts/settings.py            writes the files
    scripts/settings.py --check    writes nothing; exit status 1 when a file is stale or a
                                   settings.yml is not in order

From roles/<role>/settings.yml are written:

    roles/<role>/defaults/main.yml, meta/argument_specs.yml, README.md
    roles/inventory_check/vars/main/settings.yml       what is checked before any host is touched
    docs/settings.md, docs/settings.zh-CN.md
    inventory/example/group_vars/*/*.yml               every setting, commented out
    src/ppocr_contract/fields.py, roles/hubserving/vars/main/container.yml
                                                       what the container reads

From src/ppocr_control/messages/<category>.yml are written the tables between markers in docs/*.md.

The forms: src/ppocr_control/settings/source.py, src/ppocr_control/messages/catalogue.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from .. import ROOT
from ..messages import pages as messages
from ..settings import ansible_files, container, pages
from ..settings.checks import problems
from ..settings.source import Role, SourceError, find_roles

_EXAMPLES = "inventory/example/group_vars"
#: The group whose hosts a role's settings are for, where that is not ppocr_hosts.
_GROUPS = {"balancer": "all", "monitoring": "ppocr_monitoring", "trainer": "ppocr_trainers"}
_CHECK_VARS = "roles/inventory_check/vars/main/settings.yml"
_FIELDS = "src/ppocr_contract/fields.py"
_PASSED = "roles/hubserving/vars/main/container.yml"


def outputs(roles: list[Role], root: Path = ROOT) -> dict[Path, str]:
    """Every file that is written, with its text."""
    files = {}
    for role in roles:
        source = f"roles/{role.name}/settings.yml"
        files[role.path("defaults/main.yml")] = ansible_files.defaults(role)
        files[role.path("meta/argument_specs.yml")] = ansible_files.argument_specs(role)
        files[role.path("README.md")] = pages.readme(role)
        examples = root / _EXAMPLES / _GROUPS.get(role.name, "ppocr_hosts")
        files[examples / f"{role.name}.yml"] = ansible_files.example(
            role.settings, source, role.summary["en"]
        )
        if role.shared:
            files[examples / "all_roles.yml"] = ansible_files.example(
                role.shared, source, "Settings for all roles"
            )
    files[root / _CHECK_VARS] = ansible_files.check_vars(roles)
    read = [s for role in roles for s in role.settings if s.data.get("container")]
    if read:
        files[root / _FIELDS] = container.fields(read)
        files[root / _PASSED] = container.passed(read)
    files[root / "docs/settings.md"] = pages.page(roles, "en")
    files[root / "docs/settings.zh-CN.md"] = pages.page(roles, "zh")
    for path in sorted(root.glob("docs/*.md")):
        files.setdefault(path, messages.page(path))
    return files


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    options = parser.parse_args(arguments)
    try:
        roles = find_roles(root)
    except (SourceError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 1
    found = problems(roles)
    files = {} if found else outputs(roles, root)
    for path, text in files.items():
        name = path.relative_to(root)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            found.append(f"{name} is stale: run scripts/settings.py")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    for path in sorted((root / _EXAMPLES).glob("*/*")) if files else []:
        if path not in files:
            found.append(
                f"{path.relative_to(root)} is not written by scripts/settings.py: remove it"
            )
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0
