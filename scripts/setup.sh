#!/bin/sh
# Installs what building and testing need, where it is missing: as root, with sudo, or, where neither
# is possible, by saying what is missing. Debian and Ubuntu; elsewhere it only says.
set -eu

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need gcc gcc
need cmake cmake
need ninja ninja-build
need flex flex
need bison bison
need python3 python3
# The tests compare with programs in numpy; CMake looks for an interpreter that has it.
python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null ||
    missing="$missing python3-numpy"
need_header() { # need_header HEADER PACKAGE
    echo "#include <$1>" | gcc -E -x c - >/dev/null 2>&1 || missing="$missing $2"
}
need_header stdio.h libc6-dev
need_header jansson.h libjansson-dev
need_header zlib.h zlib1g-dev
need_header sha2.h libmd-dev
need g++ g++
need_header zstd.h libzstd-dev
[ -e /usr/lib/llvm-19/include/llvm-c/Core.h ] || missing="$missing llvm-19-dev"
[ -e /usr/lib/llvm-19/include/lld/Common/Driver.h ] || missing="$missing liblld-19-dev"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing (names as in Debian):$missing" >&2
    exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then
        root=sudo
    else
        echo "missing; please install:  apt-get install$missing" >&2
        exit 1
    fi
fi
echo "installing:$missing"
# shellcheck disable=SC2086
{
    $root apt-get -qq update || true
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
}
