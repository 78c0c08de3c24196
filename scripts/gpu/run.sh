#!/usr/bin/env bash
# Runs what was staged (npm run gpu:stage) on a machine with an NVIDIA GPU: bash .gpu/run.sh [--parts NAME,...] [--out DIR]; --help lists it all.
# From a checkout with Node, `npm run gpu` stages first.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -f "$here/id" ]; then
  stage=$here
else
  stage=$(cd "$here/../.." && pwd)/.gpu
  if [ -d "$here/../../node_modules" ] && command -v node >/dev/null; then
    node "$here/stage.mjs" --node none --out "$stage" || exit 2
  fi
fi
if [ ! -f "$stage/env.sh" ]; then
  echo "nothing is staged in $stage: run \`npm run gpu:stage\` on a machine with Node, and carry .gpu along" >&2
  exit 2
fi
# shellcheck disable=SC1091
source "$stage/env.sh" || exit 2
exec node "$KINDLING_GPU_APP/dist/gpu/run.js" "$@"
