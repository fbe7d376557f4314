#!/bin/sh
# Install the built wheel in a clean environment, newest of everything, and run the demonstration.
#
#   tools/clean-install.sh [PYTHON] [FOLDER]
#
# PYTHON is the interpreter to try (default: python3), FOLDER where environment and pictures go
# (default: a temporary one, removed at the end). Nothing is constrained but torch, whose other
# builds are several GB. Takes minutes. Needs xvfb-run where there is no screen.
set -eu

python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 1 ]; then
    mkdir -p "$2"
    folder=$(cd "$2" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

"$python" -m venv --clear "$folder/venv"
bin="$folder/venv/bin"
pip="$bin/python -m pip --quiet --disable-pip-version-check"
rm -rf "$folder/wheel"
$pip wheel --no-deps --wheel-dir "$folder/wheel" "$root"
wheel=$(ls "$folder"/wheel/napari_confseg-*.whl)

$pip install torch==2.13.0
$pip install --upgrade --upgrade-strategy eager "$wheel[all]" torch==2.13.0
"$bin/python" -m pip check

# Not from the checkout, whose packages would be found first.
cd "$folder"
unset PYTHONPATH
"$bin/python" -V
"$bin/confseg" --version
"$bin/confseg-train" --help >/dev/null
"$bin/npe2" validate napari-confseg
"$bin/python" -m pip list --format=freeze | grep -iE '^(av|magicgui|monai|napari|numpy|pydicom|PySide6|torch|zarr)'
set -- "$bin/confseg" demo --scripted --out "$folder/demo-out"
[ -n "${DISPLAY:-}" ] || set -- xvfb-run --auto-servernum --server-args="-screen 0 1600x1000x24" "$@"
"$@"
echo "The installed wheel runs the demonstration."
