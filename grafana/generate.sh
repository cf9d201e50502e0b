#!/usr/bin/env bash
# Writes the dashboards of src/ as JSON: grafana/generate.sh [DIR], into dashboards/ beside this if no other is named.
# The sources are checked against Grafana's own types first; node, TypeScript and the types are where
# scripts/servers.sh has put them (scripts/servers.sh install).
set -euo pipefail
cd "$(dirname "$0")"
target=${1:-dashboards}
modules=$(../scripts/servers.sh where grafana)/node_modules
mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R src tsconfig.json "$work"
ln -s "$modules" "$work/node_modules"
cd "$work"
node node_modules/typescript/bin/tsc --project .
node out/main.js "$target"
