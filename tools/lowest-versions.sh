#!/bin/sh
# Run the demonstration on the lowest versions that pyproject.toml allows.
#
#   tools/lowest-versions.sh [FOLDER]
#
# FOLDER is where the environment goes (default: a temporary one, removed at the end). Needs uv, and
# Python 3.11, the lowest of those. torch alone is not the lowest: its other builds are several GB.
# Not the suite: programs that only tests use ask for newer versions than ours does.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

uv venv --quiet --clear --seed --python 3.11 "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0
echo "torch==2.13.0" >"$folder/torch.txt"
uv pip install --quiet --python "$folder/venv/bin/python" --resolution lowest-direct \
    --constraint "$folder/torch.txt" --editable "$root[all]"
uv pip list --python "$folder/venv/bin/python" | grep -iE '^(av|magicgui|napari|numpy|pydicom|pyside6|torch|zarr)'

# Not from the checkout, and nothing of the caller's environment.
cd "$folder"
unset PYTHONPATH
set -- "$folder/venv/bin/confseg" demo --scripted --out "$folder/demo-out"
[ -n "${DISPLAY:-}" ] || set -- xvfb-run --auto-servernum --server-args="-screen 0 1600x1000x24" "$@"
"$@"
echo "The lowest versions run the demonstration."
