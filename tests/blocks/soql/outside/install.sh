#!/bin/sh
# Install the outside SOQL parser into a folder, nowhere else; the folder of the other outside clients will do:
#   tests/blocks/soql/outside/install.sh ~/.cache/salesforce-clients
#   LEAK_RESPONSE_CLIENTS=~/.cache/salesforce-clients make test
set -eu
where=${1:?"usage: $0 FOLDER"}
mkdir -p "$where"
where=$(cd "$where" && pwd)
[ -f "$where/package.json" ] || echo '{"private": true}' > "$where/package.json"
npm install --prefix "$where" --no-audit --no-fund --loglevel=error "@jetstreamapp/soql-parser-js@>=6"
echo "Installed. Set LEAK_RESPONSE_CLIENTS=$where"
