# Sourced by scripts/*: makes the control node's Python environment and puts it first on PATH.
# Sets PPOCR_ROOT (the repository), PPOCR_VENV, and PPOCR_WORK_DIR (where build/ and reports/ go).
# PPOCR_LOCK chooses the lock (control or dev).
# shellcheck shell=sh

ppocr_die() { printf 'error: %s\n' "$*" >&2; exit 1; }

PPOCR_ROOT=$(CDPATH= cd -- "${PPOCR_ROOT:-.}" && pwd -P)
# Ansible takes a comma for a list of hosts, $ for a variable and {{ for a template.
case $PPOCR_ROOT in
*[,$]* | *{{*) ppocr_die "Ansible cannot work in $PPOCR_ROOT, for the sign ',', '$' or '{{' in this path: move or rename the folder" ;;
esac
_lock=$PPOCR_ROOT/requirements/${PPOCR_LOCK:-control}.lock
[ -r "$_lock" ] || ppocr_die "$_lock cannot be read: this copy of the project is not whole, copy it again"
_sum=$(sha256sum <"$_lock" | cut -d' ' -f1)
# dev holds all that control holds: a script that needs only control keeps a dev environment.
_want="$_sum $(basename "$_lock") and src"

# Modules in the working directory or in PYTHONPATH must not be imported here.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP
# A bundle stays as it was signed: its check refuses any file that was added.
_in_bundle=
if [ -f "$PPOCR_ROOT/../MANIFEST.json" ]; then
  _in_bundle=yes
  export PYTHONDONTWRITEBYTECODE=1
fi

# Whether what ansible-playbook's first line names is the environment it lies in: not after a move.
ppocr_in_place() {
  _real=$(CDPATH= cd -- "$1" && pwd -P) || return 1
  case "$(sed -n 's/^command = //p' "$1/pyvenv.cfg" 2>/dev/null)" in "" | *" $_real") ;; *) return 1 ;; esac
}

ppocr_ready() {
  [ -x "$1/bin/python" ] && [ -x "$1/bin/ansible-playbook" ] && [ -r "$1/.lock.sha256" ] &&
    grep -qxF "$_want" "$1/.lock.sha256" && ppocr_in_place "$1"
}

# Whether files made in the repository can be started: not on a read-only or noexec medium.
ppocr_root_runs() {
  [ -w "$PPOCR_ROOT" ] || return 1
  _try=$PPOCR_ROOT/.venv.try.$$
  _runs=0
  { printf '#!/bin/sh\n' >"$_try" && chmod +x "$_try" && "$_try"; } 2>/dev/null || _runs=1
  rm -f "$_try"
  return $_runs
}

# Sets PPOCR_VENV: .venv in the repository, or a folder of the user's cache where that cannot be.
ppocr_place() {
  case $PPOCR_ROOT in
  # Ansible starts the interpreter through a shell without quoting it, and venv refuses a colon.
  *[[:space:]\"\'\$\`\\\&\;\|\<\>\(\)\{\}\*\?\[\]:]*) ;;
  *)
    PPOCR_VENV=$PPOCR_ROOT/.venv
    if [ -z "$_in_bundle" ] && { ppocr_ready "$PPOCR_VENV" || ppocr_root_runs; }; then return 0; fi
    ;;
  esac
  PPOCR_VENV=$_cache/venv-$(printf '%.12s' "$_sum")
  if [ -z "$_cache" ] || ! mkdir -p "$_cache" 2>/dev/null || [ ! -w "$_cache" ]; then
    ppocr_die "the Python environment cannot be made in $PPOCR_ROOT, nor in ${_cache:-the home folder, as HOME is not set}: name a folder for it in PPOCR_VENV"
  fi
  if [ -e "$PPOCR_VENV" ] && [ ! -O "$PPOCR_VENV" ]; then
    ppocr_die "$PPOCR_VENV belongs to another user: name a folder of your own in PPOCR_VENV, or set HOME to yours"
  fi
}

# A CPython this project's locks were made for.
ppocr_find_python() {
  for _py in "${PPOCR_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3; do
    [ -n "$_py" ] && command -v "$_py" >/dev/null 2>&1 || continue
    "$_py" -Ic 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null || continue
    printf '%s' "$_py"
    return 0
  done
  return 1
}

ppocr_apt_install() {
  command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 1
  echo "installing $* with apt-get" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

ppocr_make_venv() {
  _py=$(ppocr_find_python) || {
    ppocr_apt_install python3 python3-venv || true
    _py=$(ppocr_find_python) || ppocr_die "CPython 3.11 to 3.14 is needed on the control node; install one, or name it in PPOCR_PYTHON"
  }
  if ! "$_py" -Ic 'import venv, ensurepip' 2>/dev/null; then
    ppocr_apt_install python3-venv || ppocr_die "$_py has no venv module: install python3-venv (or your distribution's equivalent)"
  fi
  "$_py" -Im venv --clear "$PPOCR_VENV" || ppocr_die "$_py could not make an environment in $PPOCR_VENV: name another folder in PPOCR_VENV"
}

# The project's own packages, from src/. An environment in the cache serves several copies of the project
# that have the same lock: PPOCR_ROOT says which of them is meant.
ppocr_install_src() {
  "$PPOCR_VENV/bin/python" -Ic '
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "ppocr.pth").write_text(
    f"import os, sys; sys.path.append(os.environ.get(\"PPOCR_ROOT\", {sys.argv[1]!a}) + \"/src\")\n")
' "$PPOCR_ROOT"
}

ppocr_env() {
  ! ppocr_ready "$PPOCR_VENV" || return 0
  # A link leads to an environment others use: emptying that one is not this script's to do.
  [ ! -L "$PPOCR_VENV" ] || ppocr_die "$PPOCR_VENV is a link to an environment made for another lock: remove the link"
  if [ -n "$_named" ] && [ ! -e "$PPOCR_VENV/.lock.sha256" ] && [ -n "$(ls -A "$PPOCR_VENV" 2>/dev/null)" ]; then
    ppocr_die "PPOCR_VENV=$PPOCR_VENV holds files this project did not make: name a new or an empty folder"
  fi
  echo "preparing the control node's Python environment in $PPOCR_VENV (a minute or two, once)" >&2
  ppocr_make_venv
  : >"$PPOCR_VENV/.lock.sha256"
  # Inside an air-gap bundle the packages lie beside the project.
  _wheels=${PPOCR_WHEELHOUSE:-$PPOCR_ROOT/../wheelhouse}
  _remedy="check the index (PIP_INDEX_URL or pip.conf), proxy (HTTPS_PROXY) and CA bundle (PIP_CERT)"
  set --
  if [ -d "$_wheels" ]; then
    set -- --no-index --find-links "$_wheels"
    _remedy="$_wheels has to hold the packages for $("$PPOCR_VENV/bin/python" -IV) (bundle_python_versions)"
  fi
  PIP_DISABLE_PIP_VERSION_CHECK=1 "$PPOCR_VENV/bin/python" -Im pip install --quiet --require-hashes --no-deps "$@" -r "$_lock" ||
    ppocr_die "pip could not install $_lock: $_remedy"
  ppocr_install_src
  {
    echo "$_want"
    [ "${PPOCR_LOCK:-control}" = dev ] && echo "$(sha256sum <"$PPOCR_ROOT/requirements/control.lock" | cut -d' ' -f1) control.lock and src"
  } >"$PPOCR_VENV/.lock.sha256" || true
}

# Ansible takes no locale that is missing here or is not UTF-8; most who have one set it for another machine.
ppocr_locale() {
  _check='import locale, sys; locale.setlocale(locale.LC_ALL, ""); sys.exit((locale.getlocale()[1] or "").lower() not in ("utf-8", "utf8"))'
  "$PPOCR_VENV/bin/python" -Ic "$_check" 2>/dev/null && return 0
  for LC_ALL in C.UTF-8 en_US.UTF-8; do
    export LC_ALL
    "$PPOCR_VENV/bin/python" -Ic "$_check" 2>/dev/null && return 0
  done
  ppocr_die "this machine has no UTF-8 locale, which Ansible needs: install C.UTF-8 or en_US.UTF-8"
}

# Runs a command of the environment in place of this shell, whatever its own first line says.
ppocr_exec() {
  _tool=$PPOCR_VENV/bin/$1
  shift
  exec "$PPOCR_VENV/bin/python" -IB "$_tool" "$@"
}

_cache=${PPOCR_CACHE:-${HOME:+$HOME/.cache/ppocr}}
_named=${PPOCR_VENV:-}
if [ -z "$_named" ]; then
  ppocr_place
else
  case $_named in
  /*) ;;
  *) PPOCR_VENV=$(pwd -P)/$_named ;;
  esac
  case $PPOCR_VENV in
  *[[:space:]:]*) ppocr_die "PPOCR_VENV=$PPOCR_VENV has a blank or a colon in it, which Ansible cannot start Python from: name another folder" ;;
  esac
fi
# Two scripts started together must not both make it.
if ! ppocr_ready "$PPOCR_VENV"; then
  mkdir -p "$(dirname "$PPOCR_VENV")" 2>/dev/null && true 2>/dev/null >>"$PPOCR_VENV.lock" ||
    ppocr_die "$(dirname "$PPOCR_VENV") cannot be written: name another folder for the Python environment in PPOCR_VENV"
  if command -v flock >/dev/null 2>&1; then
    exec 9>>"$PPOCR_VENV.lock"
    flock 9
    ppocr_env
    exec 9>&-
  else
    ppocr_env
  fi
fi
ppocr_locale
PATH=$PPOCR_VENV/bin:$PATH
ANSIBLE_CONFIG=${ANSIBLE_CONFIG:-$PPOCR_ROOT/ansible.cfg}
if [ -z "${PPOCR_WORK_DIR:-}" ]; then
  PPOCR_WORK_DIR=$PPOCR_ROOT
  if [ -n "$_in_bundle" ] || [ ! -w "$PPOCR_ROOT" ]; then PPOCR_WORK_DIR=${_cache:-$PPOCR_ROOT}; fi
fi
export PATH PPOCR_ROOT PPOCR_VENV PPOCR_WORK_DIR ANSIBLE_CONFIG
