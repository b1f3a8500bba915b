#!/usr/bin/env bash
# Writes what a Python environment is made of, for those who have to know before they run it:
#   infra/sbom.sh PYTHON FOLDER
# FOLDER/sbom.cdx.json       every distribution with version, licence and origin (CycloneDX)
# FOLDER/licences.txt        their licence texts and notices
# FOLDER/debian.txt          the system's packages, where there is Debian
# The tools come from infra/audit.txt into a folder that is deleted again.
set -euo pipefail
python=$(command -v "$1")
folder=$2
here=$(cd "$(dirname "$0")" && pwd)
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

"$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --requirement "$here/audit.txt"
mkdir -p "$folder"
"$tools/bin/cyclonedx-py" environment --output-reproducible --of JSON -o "$folder/sbom.cdx.json" "$python"
"$tools/bin/pip-licenses" --python "$python" --from mixed --format plain-vertical \
  --with-license-file --no-license-path --with-notice-file --output-file "$folder/licences.txt"
if command -v dpkg-query >/dev/null; then
  dpkg-query --show --showformat '${Package} ${Version}\n' >"$folder/debian.txt"
fi
