#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# swift.sh ARGUMENTS: what `swift ARGUMENTS` is for arm64, with the compiler and the SDK that sdk.sh has made in SWIFT_SDK.
#
# The compiler wants a newer system than this one may be: its /usr is put over this one's, for this command alone. It may be
# an older Swift than ours, 6.2, which spells one attribute otherwise: what it reads are files with its spelling.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sdk=$(cd "$SWIFT_SDK" && pwd)
cd "$here/../.."
# Kept, so that only what has changed is compiled again.
spelt=$PWD/build/spelt
binds=()
while read -r file; do
    mkdir -p "$spelt/$(dirname "$file")"
    sed -e 's/@inline(always)/@inline(__always)/' -e '1s/^\(.. swift-tools-version:\) 6.3/\1 6.2/' "$file" > "$spelt/new"
    cmp -s "$spelt/new" "$spelt/$file" || cp "$spelt/new" "$spelt/$file"
    binds+=("$spelt/$file" "$PWD/$file")
done < <(echo Package.swift; grep -rl '@inline(always)' Sources)

# shellcheck disable=SC2016 # Of the inner shell.
exec unshare --mount bash -c '
    while [ "$1" != -- ]; do mount --bind "$1" "$2" && shift 2 || exit; done
    exec "${@:2}"' bash "${binds[@]}" "$sdk/amd64/usr" /usr -- \
    env PATH=/usr/libexec/swift/bin:/usr/bin swift "$@" --swift-sdks-path "$sdk" --swift-sdk arm64 -Xswiftc -use-ld=lld
