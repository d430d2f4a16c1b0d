#!/usr/bin/env bash
# Makes .venv from requirements/dev.txt. Nothing to do is answered at once; what is missing is said in one line, exit 3.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/.ready

missing() {
    echo "setup: $1" >&2
    exit 3
}

apt_install() { # packages...
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "setup: installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1
}

has_library() { # what is linked against this very soname can be loaded
    "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
}

pdf_packages() { # the Debian packages that WeasyPrint still wants
    has_library libpango-1.0.so.0 || echo libpango-1.0-0
    has_library libpangoft2-1.0.so.0 || echo libpangoft2-1.0-0
    has_library libharfbuzz-subset.so.0 || echo libharfbuzz-subset0
    [ -n "$(find /usr/share/fonts /usr/local/share/fonts ~/.fonts ~/.local/share/fonts -name '*.[ot]tf' -print -quit 2>/dev/null)" ] ||
        echo fonts-dejavu-core
}

command -v "$python" >/dev/null || missing "install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "$python is older than 3.11; set PYTHON to a newer one"

if [ "${DEMO_PDF:-1}" != 0 ]; then
    wanted=$(pdf_packages)
    if [ -n "$wanted" ]; then
        # shellcheck disable=SC2086
        apt_install $wanted || missing "install $(echo $wanted) for PDFs (as root: apt-get install $(echo $wanted)), or set DEMO_PDF=0"
    fi
fi

key=$(cat requirements/dev.txt scripts/setup.sh | sha256sum | cut -d' ' -f1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key $PWD" ] && { touch "$stamp"; exit 0; }

if [ ! -x .venv/bin/pip ]; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        apt_install python3-venv || missing "install python3-venv (as root: apt-get install python3-venv)"
    fi
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "setup: installing the pinned requirements into .venv" >&2
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
# The checkout itself is on the path of .venv: hand-written packages at the root, generated ones in gen/.
printf '%s\n' "$PWD" "$PWD/gen" >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/morpheus_checkout.pth"
echo "$key $PWD" >"$stamp"
