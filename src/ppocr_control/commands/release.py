"""Makes a release: sets the version, closes the changelog, commits, tags, builds image and bundle.

Everything is checked before anything is changed. Nothing is pushed: at the end it prints what to
publish. If building fails after the tag was made, the same command again goes on from there.
"""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import ROOT, changelog, command_line, version
from ..errors import OK, Error, Refused
from . import settings

EPILOG = """\
examples:
  scripts/release 1.1.0 --dry-run --no-bundle        check, and say what would be done
  scripts/release 1.1.0 --sign ~/.ssh/release        release from main, with a signed bundle
  scripts/release 1.0.1 --branch fixes-1.0 --no-bundle
"""
_CHANGELOG = "CHANGELOG.md"
_PROJECT = "pyproject.toml"


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.prog = "scripts/release"
    parser.add_argument("version", metavar="VERSION", help="such as 1.1.0; greater than the last")
    parser.add_argument("--branch", default="main", help="release from it (default: %(default)s)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="SSH private key for the bundle")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="new folder for the bundle (default: "
        "build/release-VERSION)",
    )  # fmt: skip
    parser.add_argument("--no-bundle", action="store_true", help="build neither image nor bundle")
    parser.add_argument("--skip-tests", action="store_true", help="do not run scripts/test --quick")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be")
    return parser.parse_args(arguments)


def _git(*arguments: str) -> str:
    """What a git command prints. Raises Error with its words."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused(
            "git is not installed: install it, a release is a commit and a tag"
        ) from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Error(f"git {arguments[0]} failed: {said}")
    return done.stdout.strip()


def _run(*command: object) -> int:
    """Run a command of this project; what it prints goes to standard error."""
    return subprocess.run(
        list(map(str, command)), stdout=sys.stderr, check=False, cwd=ROOT
    ).returncode


def _python(script: str, *arguments: object) -> int:
    return _run(sys.executable, "-IB", ROOT / "scripts" / script, *arguments)


def _settings(*arguments: str) -> int:
    """Run scripts/settings.py; what it prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        return settings.main(list(arguments))


def _changed() -> str:
    """The first files that differ from what is committed; empty where none does."""
    lines = _git("status", "--porcelain").splitlines()
    return ", ".join(line.split(maxsplit=1)[1] for line in lines[:3])


class Release:
    """One release: what speaks against it, and its steps."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.version: str = args.version
        self.tag = f"v{args.version}"
        self.out = (args.out or ROOT / f"build/release-{args.version}").absolute()
        self.bundle = self.out / f"ppocr-bundle-{args.version}"
        self.old = version.current()

    def is_tagged(self) -> bool:
        """Whether an earlier run made the commit and the tag, and this one is to go on."""
        if self.old != self.version or not _git("tag", "--list", self.tag):
            return False
        return _git("rev-parse", f"{self.tag}^{{commit}}") == _git("rev-parse", "HEAD")

    def problems(self) -> Iterator[str]:
        """One sentence, with its remedy, for each thing that speaks against it."""
        if changed := _changed():
            yield f"there are changes that are not committed ({changed}): commit or stash them"
        branch = _git("branch", "--show-current") or "no branch"
        if branch != self.args.branch:
            yield (
                f"this is {branch}, not {self.args.branch}: git switch {self.args.branch}, "
                f"or release from here with --branch {branch}"
            )
        if not self.is_tagged():
            yield from self._version_problems()
            yield from self._changelog_problems()
            if _settings("--check"):
                yield "files made from roles/*/settings.yml are stale: run scripts/settings.py"
            try:
                _git("var", "GIT_COMMITTER_IDENT")
            except Error:
                yield "git does not know who you are: git config user.name and user.email"
        if not self.args.no_bundle:
            yield from self._bundle_problems()

    def _version_problems(self) -> Iterator[str]:
        tags = [tag[1:] for tag in _git("tag", "--list", "v*").split()]
        known = [self.old, *filter(version.FORM.fullmatch, tags)]
        last = max(known, key=version.key)
        if version.key(self.version) <= version.key(last):
            yield f"{self.version} is not greater than the last version, {last}: choose a greater"

    def _changelog_problems(self) -> Iterator[str]:
        text = (ROOT / _CHANGELOG).read_text(encoding="utf-8")
        if changelog.section(text, changelog.UNRELEASED) is None:
            yield f"{_CHANGELOG} has no section '## Unreleased': add one with what users notice"
        elif not changelog.has_entries(text):
            yield f"{_CHANGELOG} has nothing below Unreleased: write there what users notice"
        if changelog.section(text, self.version) is not None:
            yield f"{_CHANGELOG} has a section {self.version}: move its entries to Unreleased"

    def _bundle_problems(self) -> Iterator[str]:
        if not self.args.sign:
            yield "the bundle of a release is signed: name an SSH key with --sign, or --no-bundle"
        elif not self.args.sign.is_file():
            yield f"--sign {self.args.sign}: there is no such file: correct its path"
        if self.bundle.exists():
            yield f"{self.bundle} is there already: remove it, or name another folder with --out"

    def set_version(self) -> list[Path]:
        """Write the version into pyproject.toml, examples and the changelog."""
        date = datetime.date.today().isoformat()
        written = []
        for path in [ROOT / _PROJECT, ROOT / _CHANGELOG, *version.example_files()]:
            before = path.read_text(encoding="utf-8")
            if path.name == _PROJECT:
                after = before.replace(f'version = "{self.old}"', f'version = "{self.version}"', 1)
            elif path.name == _CHANGELOG:
                after = changelog.released(before, self.version, date)
            else:
                after = version.renewed(before, self.old, self.version)
            if after != before:
                path.write_text(after, encoding="utf-8")
                written.append(path)
        return written

    def notes(self) -> str:
        text = (ROOT / _CHANGELOG).read_text(encoding="utf-8")
        return changelog.section(text, self.version) or ""

    def commit(self) -> None:
        """Set the version, commit and tag it; the tree is as it was where that fails."""
        if changed := _changed():
            raise Refused(f"{changed} changed during the tests: commit, and release again")
        start = _git("rev-parse", "HEAD")
        try:
            self.set_version()
            if version.current() != self.version:
                raise Error(f'{_PROJECT} has no line version = "{self.old}": correct it')
            if _settings():
                raise Error("scripts/settings.py failed; see above")
            _git("commit", "--all", "--message", f"Release {self.version}",
                 "--message", f"What changed for users is in {_CHANGELOG}.")  # fmt: skip
            # Lines of the notes begin with #, which git would take for comments.
            _git("tag", "--annotate", "--cleanup=whitespace", self.tag,
                 "--message", f"{self.version}\n\n{self.notes()}")  # fmt: skip
        except (Error, KeyboardInterrupt):
            _git("reset", "--hard", start)  # where the tree was clean
            raise

    def build(self) -> None:
        """Build the image and the bundle, which holds the project as it is tagged."""
        image = f"ppocr:{self.version}"
        arguments = ["--image", image, "--out", self.bundle, "--sign", self.args.sign, "--tar"]
        for script, options in (
            ("build_image.py", ["--tag", image]),
            ("make_bundle.py", arguments),
        ):
            if _python(script, *options):
                raise Error(
                    f"scripts/{script} failed (see above); {self.tag} is made and not pushed. Run "
                    "the same command again to go on, or undo it with git tag --delete "
                    f"{self.tag} and git reset --hard HEAD~1"
                )

    def steps(self) -> list[str]:
        """What is done, in words."""
        found = [] if self.args.skip_tests else ["run scripts/test --quick"]
        if self.is_tagged():
            found = [f"go on from the tag {self.tag}"]
        else:
            found += [
                f"set the version in {_PROJECT}: {self.old} to {self.version}, and in examples",
                f"move what is below Unreleased in {_CHANGELOG} to {self.version}",
                "run scripts/settings.py",
                f"commit 'Release {self.version}' on {self.args.branch}, tag it {self.tag}",
            ]
        if not self.args.no_bundle:
            found += [f"build ppocr:{self.version}", f"make the signed bundle {self.bundle}"]
        return found

    def to_publish(self) -> list[str]:
        remote = (_git("remote").split() or ["REMOTE"])[0]
        found = [f"git push {remote} {self.args.branch} {self.tag}"]
        if not self.args.no_bundle:
            found += [
                f"the bundle {self.bundle}.tar",
                f"the public key to verify it with: {self.args.sign}.pub",
            ]
        return [*found, f"release notes: the section {self.version} of {_CHANGELOG}"]


def _list(head: str, lines: Sequence[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines)])


def work(args: Namespace) -> tuple[int, Any, str]:
    if not version.FORM.fullmatch(args.version):
        raise Refused(f"{args.version!r} is no version: write three numbers, such as 1.1.0")
    try:
        top = Path(_git("rev-parse", "--show-toplevel"))
    except Refused:
        raise
    except Error as error:
        raise Refused(f"release from a clone: {error}") from error
    if top != ROOT:
        raise Refused(f"{ROOT} is no git repository of its own: release from a clone")
    release = Release(args)
    if found := list(release.problems()):
        raise Refused("\nerror: ".join(found) + "\nnothing was changed")
    steps = release.steps()
    if args.dry_run:
        return OK, {"would": steps}, _list(f"{args.version} can be released. It would:", steps)
    if not release.is_tagged():
        if not args.skip_tests and _run("/bin/sh", ROOT / "scripts/test", "--quick"):
            raise Error("scripts/test --quick failed (see above); nothing was changed")
        release.commit()
    if not args.no_bundle:
        release.build()
    publish = release.to_publish()
    words = _list(f"{args.version} is made. To publish it:", publish)
    return OK, {"version": args.version, "tag": release.tag, "publish": publish}, words


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)


if __name__ == "__main__":
    sys.exit(main())
