# Sourced by scripts/*: makes the control node's Python environment and puts it first on PATH.
# Sets PPOCR_ROOT (the repository) and PPOCR_VENV. PPOCR_LOCK chooses the lock (control or dev).
# shellcheck shell=sh

PPOCR_ROOT=$(CDPATH= cd -- "${PPOCR_ROOT:-.}" && pwd)
PPOCR_VENV=${PPOCR_VENV:-$PPOCR_ROOT/.venv}
_lock=$PPOCR_ROOT/requirements/${PPOCR_LOCK:-control}.lock
_stamp=$PPOCR_VENV/.lock.sha256

ppocr_die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A CPython this project's locks were made for.
ppocr_find_python() {
  for _py in ${PPOCR_PYTHON:-} python3.11 python3.12 python3; do
    command -v "$_py" >/dev/null 2>&1 || continue
    "$_py" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null || continue
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
    _py=$(ppocr_find_python) || ppocr_die "CPython 3.11 or 3.12 is needed on the control node; install it, or name it in PPOCR_PYTHON"
  }
  if ! "$_py" -c 'import venv, ensurepip' 2>/dev/null; then
    ppocr_apt_install python3-venv || ppocr_die "$_py has no venv module: install python3-venv (or your distribution's equivalent)"
  fi
  "$_py" -m venv --clear "$PPOCR_VENV"
}

ppocr_env() {
  [ -r "$_lock" ] || ppocr_die "no lock file $_lock"
  _want="$(sha256sum "$_lock" | cut -d' ' -f1) $(basename "$_lock")"
  # dev holds all that control holds: a script that needs only control keeps a dev environment.
  if [ -x "$PPOCR_VENV/bin/python" ] && [ -r "$_stamp" ] && grep -qxF "$_want" "$_stamp"; then
    return 0
  fi
  # A link leads to an environment others use: emptying that one is not ours to do.
  [ ! -L "$PPOCR_VENV" ] || ppocr_die "$PPOCR_VENV is a link to an environment made for another lock: remove the link"
  echo "preparing the control node's Python environment in $PPOCR_VENV (a minute or two, once)" >&2
  ppocr_make_venv
  # Inside an air-gap bundle the packages lie beside the project.
  _wheels=${PPOCR_WHEELHOUSE:-$PPOCR_ROOT/../wheelhouse}
  [ -d "$_wheels" ] && _offline="--no-index --find-links=$_wheels" || _offline=
  # shellcheck disable=SC2086
  PIP_DISABLE_PIP_VERSION_CHECK=1 "$PPOCR_VENV/bin/python" -m pip install --quiet --require-hashes --no-deps $_offline -r "$_lock" ||
    ppocr_die "pip could not install $_lock: check the index (PIP_INDEX_URL or pip.conf), proxy (HTTPS_PROXY) and CA bundle (PIP_CERT)"
  {
    echo "$_want"
    [ "${PPOCR_LOCK:-control}" = dev ] && echo "$(sha256sum "$PPOCR_ROOT/requirements/control.lock" | cut -d' ' -f1) control.lock"
  } >"$_stamp" || true
}

# One at a time: two scripts started together must not both make it.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$PPOCR_VENV.lock"
  flock 9
  ppocr_env
  exec 9>&-
else
  ppocr_env
fi
PATH=$PPOCR_VENV/bin:$PATH
ANSIBLE_CONFIG=${ANSIBLE_CONFIG:-$PPOCR_ROOT/ansible.cfg}
export PATH PPOCR_ROOT PPOCR_VENV ANSIBLE_CONFIG
