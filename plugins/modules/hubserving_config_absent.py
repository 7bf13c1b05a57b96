#!/usr/bin/python
"""Remove the configuration that the role rendered on a host, and nothing else there."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: hubserving_config_absent
short_description: Remove the configuration that the role rendered on a host
description:
  - A folder of an instance counts as rendered where it has the mark, where a container of the
    service mounts it or, in the project's own folder, where it holds nothing but rendered files.
  - In it only files of the given names go; the folder goes where it is empty then. No link is
    followed.
options:
  path: {type: path, required: true, description: The folder of configurations.}
  names: {type: list, elements: str, required: true, description: Names of rendered files.}
  mark: {type: str, required: true, description: Name of the file that marks what the role made.}
  mounted: {type: list, elements: path, default: [], description: Folders containers mount.}
  own: {type: bool, default: false, description: Whether the path is the project's by its name.}
  only: {type: list, elements: str, description: Names of the folders that go. Default is all.}
"""
#: In the folder of configurations itself; empty: see _hubserving_hold.
HOLD = "stopped"


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


class Removal:
    """What is to go and what has to stay; paths as text.

    Args:
        names: of rendered files.
        mark: the name of the file that marks what the role made.
        only: the names of the folders of instances that go, and nothing else; None means all.
        dry: only say what would go.
    """

    def __init__(
        self, names: list[str], mark: str, only: list[str] | None = None, dry: bool = False
    ) -> None:
        self.names, self.mark, self.only, self._dry = names, mark, only, dry
        self.removed: list[str] = []
        self.kept: list[str] = []

    def folders(self, path: Path, mounted: list[str], own: bool) -> list[Path]:
        """The folders of instances."""
        below = sorted(filter(_is_folder, path.iterdir())) if path.is_dir() else []
        found = [folder for folder in below if self._is_ours(folder, own)]
        found += [Path(m) for m in mounted if _is_folder(Path(m)) and Path(m) not in found]
        return [folder for folder in found if self.only is None or folder.name in self.only]

    def _is_ours(self, folder: Path, own: bool) -> bool:
        if _is_file(folder / self.mark):
            return True
        held = list(folder.iterdir())
        return own and all(file.name in self.names and _is_file(file) for file in held)

    def empty(self, folder: Path) -> None:
        """Remove rendered files, the mark last, and the folder where nothing is left."""
        left = {file.name for file in folder.iterdir()}
        for name in self.names:
            if _is_file(folder / name):
                self._unlink(folder / name)
                left.discard(name)
        if left <= {self.mark}:
            self.remove_empty(folder)
        else:
            self.kept.append(str(folder))

    def remove_empty(self, folder: Path) -> None:
        """Remove a folder with nothing but the mark in it."""
        if _is_file(folder / self.mark):
            self._unlink(folder / self.mark)
        self.removed.append(str(folder))
        if self._dry:
            return
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise
            self.kept.append(self.removed.pop())

    def hold(self, path: Path) -> None:
        """Remove what keeps containers stopped."""
        if _is_file(path / HOLD) and not (path / HOLD).stat().st_size:
            self._unlink(path / HOLD)

    def _unlink(self, file: Path) -> None:
        self.removed.append(str(file))
        if not self._dry:
            file.unlink()


def remove(path: Path, mounted: list[str], own: bool, done: Removal) -> Removal:
    """Remove what the role rendered, and say in ``done`` what that was."""
    for folder in done.folders(path, mounted, own):
        done.empty(folder)
    if done.only is not None or not path.is_dir():
        return done
    done.hold(path)
    left = {file for file in path.iterdir() if str(file) not in done.removed}
    if (own or _is_file(path / done.mark)) and _is_folder(path):
        if left <= {path / done.mark}:
            done.remove_empty(path)
        else:
            done.kept.append(str(path))
    return done


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "mark": {"type": "str", "required": True},
            "mounted": {"type": "list", "elements": "path", "default": []},
            "own": {"type": "bool", "default": False},
            "only": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    values: dict[str, Any] = module.params
    try:
        done = remove(
            Path(values["path"]), values["mounted"], values["own"],
            Removal(values["names"], values["mark"], values["only"], module.check_mode),
        )  # fmt: skip
    except OSError as error:
        module.fail_json(msg=f"hubserving_config_dir {values['path']}: {error}")
    module.exit_json(changed=bool(done.removed), removed=done.removed, kept=done.kept)


if __name__ == "__main__":
    main()
