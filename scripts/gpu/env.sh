# source .gpu/env.sh: for a GPU machine that has no Node.js. Unpacks the staged Node and programs (once), puts Node on the PATH, and says where
# the addon and pip's CUDA libraries lie. Afterwards KINDLING_GPU_APP is the folder of the programs.
# Needs bash, tar, and xz or python3.

_kindling_fail() {
  echo "env.sh: $1" >&2
  unset -f _kindling_fail _kindling_unxz
  return 1
}

# Whichever can read it.
_kindling_unxz() {
  if command -v xz >/dev/null 2>&1; then
    xz -dc "$1"
  else
    python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer, 1 << 20)' "$1"
  fi
}

_kindling_setup() {
  local here home part
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || return 1
  [ -f "$here/id" ] || { _kindling_fail "there is no $here/id: stage first, with npm run gpu:stage"; return 1; }
  # A folder per staging, so that a newer one never meets older programs.
  home=${KINDLING_GPU_HOME:-$HOME/.cache/kindling-gpu}/$(cat "$here/id")
  if [ ! -e "$home/complete" ]; then
    part=$home.$$
    rm -rf "$part"
    mkdir -p "$part/bin" || { _kindling_fail "cannot make $part"; return 1; }
    if [ -f "$here/node.xz" ]; then
      _kindling_unxz "$here/node.xz" >"$part/bin/node" && chmod +x "$part/bin/node" || { _kindling_fail "cannot unpack $here/node.xz (xz or python3 is needed)"; return 1; }
    fi
    _kindling_unxz "$here/app.tar.xz" | tar -xf - -C "$part" || { _kindling_fail "cannot unpack $here/app.tar.xz"; return 1; }
    : >"$part/complete"
    rm -rf "$home"
    mv "$part" "$home" 2>/dev/null || [ -e "$home/complete" ] || { _kindling_fail "cannot make $home"; return 1; }
  fi
  [ -x "$home/bin/node" ] && export PATH="$home/bin:$PATH"
  export KINDLING_GPU_APP=$home/app KINDLING_GPU_STAGE=$here
  export KINDLING_NATIVE_DIR=${KINDLING_NATIVE_DIR:-$here/native}
  if [ -z "${KINDLING_CUDA_LIB_DIRS:-}" ]; then
    KINDLING_CUDA_LIB_DIRS=$("${KINDLING_PYTHON:-python3}" - 2>/dev/null <<'PY'
import glob, os, site, sys

places = dict.fromkeys([p for p in sys.path if p.endswith("-packages")] + site.getsitepackages() + [site.getusersitepackages()])
found = [d for p in places for d in sorted(glob.glob(os.path.join(p, "nvidia", "*", "lib"))) + [os.path.join(p, "torch", "lib")]]
found += sorted(glob.glob("/usr/local/cuda*/lib64"))
print(":".join(d for d in dict.fromkeys(found) if os.path.isdir(d)))
PY
    ) || true
    export KINDLING_CUDA_LIB_DIRS
  fi
  if ! node -e '' 2>/dev/null; then
    command -v node >/dev/null || { _kindling_fail "there is no node: it was staged without one, and none is on the PATH"; return 1; }
    _kindling_fail "node does not start here: $(node -e '' 2>&1 | head -1)"
    return 1
  fi
  unset -f _kindling_fail _kindling_unxz
}
_kindling_setup
