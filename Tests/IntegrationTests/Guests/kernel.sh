#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Puts a Linux kernel of the distribution, for emulated machines, into a folder as `vmlinuz`, and some of its modules
# beside it, unless the folder is there; it is downloaded, not installed.
#
#   kernel.sh FOLDER [MODULE ...]
set -eu

folder=$1
shift
[ ! -d "$folder" ] || exit 0
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Debian's and Ubuntu's names of a small one, and of any.
for name in linux-image-cloud-amd64 linux-image-virtual linux-image-amd64; do
    package=$(apt-cache depends "$name" 2> /dev/null |
        sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -z "$package" ] || break
done
(cd "$work" && apt-get download -q "$package" > download.log 2>&1 && dpkg-deb -x ./*.deb all) || {
    cat "$work/download.log" >&2
    exit 125
}
mkdir "$work/kept"
mv "$work"/all/boot/vmlinuz-* "$work/kept/vmlinuz"
# One that a kernel has built in is no file.
for module in "$@"; do find "$work/all/lib/modules" -name "$module.ko" -exec mv {} "$work/kept" ';'; done
# One that was interrupted is not taken for whole, and others may do the same at the same time.
mv -T "$work/kept" "$folder" 2> /dev/null || [ -d "$folder" ]
