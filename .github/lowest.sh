#!/usr/bin/env bash
# Installs the lowest release of every dependency that pyproject.toml allows, and tries them.
#
#     bash .github/lowest.sh [options of `pip install`]
#
# Makes a virtual environment in a folder of its own and removes it. PYTHON: the interpreter, 3.11 unless it says otherwise.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3.11}" -m venv "$place"
"$place/bin/pip" install --quiet "$here/.." -c "$here/lowest.txt" "$@"
bash "$here/smoke.sh" "$place/bin"
