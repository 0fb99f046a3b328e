#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# link.sh (program|module) FOLDER OUTPUT [TARGET]: links what SwiftPM has compiled into FOLDER once more, without what is there
# for nothing: Yams is used for the libyaml that it brings, and its Swift part wants all of Foundation, which is 40 MB. Nothing
# is needed then but the C library, and C++'s where it cannot be linked in.
#
# TARGET, such as x86_64-linux-gnu.2.28, is a machine and the oldest C library to run with; it takes zig (the package ziglang
# of PyPI, as `python3 -m ziglang` or in ZIG), and Swift's libraries for that machine in SWIFT_STATIC. Without it this machine
# is meant, and Swift's own linker does it.

set -euo pipefail
kind=$1 folder=$2 final=$3 target=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
output=$work/linked

# Into place at once, and only what is new: somebody may be running it.
finish() {
    cmp -s "$output" "$final" || { cp "$output" "$final.new" && mv "$final.new" "$final"; }
}

product=$([ "$kind" = program ] && echo dgen-mpi || echo DGenPython)
sed '/\/Yams\.build\//d' "$folder/$product.product/Objects.LinkFileList" > "$work/objects"

# C++'s library as an archive: that beside Swift's, or this system's, where it has one; otherwise as it has it.
cxx() {
    local found
    for found in "$static/libstdc++.a" "$(cc -print-file-name=libstdc++.a)" -lstdc++; do
        [ ! -e "$found" ] || break
    done
    echo "$found"
}

if [ -z "$target" ]; then
    options=(-static-stdlib -O -Xlinker --gc-sections -Xlinker -s -Xlinker --as-needed)
    if [ "$kind" = program ]; then
        options+=(-emit-executable -Xlinker --defsym=main=dgen_mpi_main)
        # How MPI ends a process that it does not start in, see CStart.
        options+=(-Xlinker --export-dynamic-symbol=_exit -Xlinker --export-dynamic-symbol=ompi_mpi_abort)
    else
        options+=(-emit-library -Xlinker --version-script="$here/module.map")
    fi
    "${SWIFT:-swift}c" "${options[@]}" "@$work/objects" -o "$output"
    finish
    exit
fi

read -ra zig <<< "${ZIG:-python3 -m ziglang}"
static=${SWIFT_STATIC:-$(dirname "$(dirname "$(readlink -f "$(type -P "${SWIFT:-swift}")")")")/lib/swift_static}/linux
libraries=()
for name in FoundationEssentials _FoundationCollections _FoundationCShims swiftCore swiftGlibc swiftSwiftOnoneSupport \
    swift_Concurrency swift_StringProcessing swift_RegexParser swiftRegexBuilder swiftSynchronization swift_Builtin_float \
    swiftDispatch dispatch BlocksRuntime; do
    libraries+=("-l$name")
done
options=(-target "$target" -O2 -s "-Wl,--gc-sections" -L"$static")
if [ "$kind" = program ]; then
    # Its linker exports what a library asks for, and nothing by name.
    "${zig[@]}" cc -target "$target" -shared -fPIC -o "$work/libexports.so" "$here/exports.c"
    options+=(-pie "$here/main.c" "-Wl,--as-needed" "$work/libexports.so")
else
    options+=(-shared "-Wl,--version-script=$here/module.map")
fi
"${zig[@]}" cc "${options[@]}" -o "$output" "$here/newer.c" "$static/${target%%-*}/swiftrt.o" "@$work/objects" \
    -Wl,--start-group "${libraries[@]}" -Wl,--end-group "$(cxx)" -lunwind -lm -ldl -lpthread
finish
