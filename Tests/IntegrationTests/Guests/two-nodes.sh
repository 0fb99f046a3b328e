#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Runs a program on an emulated machine with two memory nodes of two processors each: a Linux kernel of
# the distribution, and a file system in memory with the program, its libraries and busybox.
#
#   two-nodes.sh FOLDER PROGRAM [ARGUMENT ...]
#
# FOLDER keeps the kernel between calls. Output and exit status are those of the program; 125 where the
# machine did not come to its end.
set -eu

folder=$1
program=$2
shift 2
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${0%/*}/kernel.sh" "$folder/kernel" || exit 125

root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev"
cp "$(command -v busybox)" "$root/bin/busybox"
for tool in sh mount stty poweroff; do ln -s busybox "$root/bin/$tool"; done
cp "$program" "$root/program"
for library in $(ldd "$program" | grep -o '/[^ ]*'); do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done
# One line for each argument: they hold no line ends.
for argument in "$@"; do printf '%s\n' "$argument"; done > "$root/arguments"
cat > "$root/init" << 'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for line in 0 1 2; do stty -F /dev/ttyS$line raw -echo; done
set --
while read -r argument; do set -- "$@" "$argument"; done < /arguments
/program "$@" < /dev/null > /dev/ttyS1 2> /dev/ttyS2
echo "the program ended with $?." > /dev/ttyS0
# Waits until that has gone out.
stty -F /dev/ttyS0 raw -echo
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet) > "$work/files"

# The emulation of long string moves is slow, so the machine does not offer them.
timeout -k 5 120 qemu-system-x86_64 -nodefaults -display none -no-reboot \
    -machine pc -accel tcg,thread=multi -cpu max,-erms,-fsrm \
    -smp 4 -m 1024 \
    -object memory-backend-ram,size=512M,id=memory0 \
    -object memory-backend-ram,size=512M,id=memory1 \
    -numa node,nodeid=0,cpus=0-1,memdev=memory0 \
    -numa node,nodeid=1,cpus=2-3,memdev=memory1 \
    -kernel "$folder/kernel/vmlinuz" -initrd "$work/files" \
    -append "console=ttyS0 quiet panic=-1 tsc=reliable numa_balancing=disable" \
    -chardev "file,id=console,path=$work/console" -serial chardev:console \
    -chardev "file,id=stdout,path=$work/stdout" -serial chardev:stdout \
    -chardev "file,id=stderr,path=$work/stderr" -serial chardev:stderr < /dev/null || true
cat "$work/stdout"
cat "$work/stderr" >&2
status=$(sed -n 's/.*the program ended with \([0-9]*\)\..*/\1/p' "$work/console" | tail -n 1)
[ -n "$status" ] || {
    echo "two-nodes.sh: the machine did not come to its end" >&2
    tail -n 20 "$work/console" >&2
    exit 125
}
exit "$status"
