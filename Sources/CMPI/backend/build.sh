#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# build.sh FOLDER [FAMILY...]: compiles backend.c into FOLDER, once for each family of MPI libraries whose header is found, and
# removes those of families whose headers are gone; fails where there is none for a family that is named.
# build.sh --list: tells the families whose headers are found, and where.
#
# Headers are looked for in MPI_INCLUDES (folders, apart by spaces), with the compilers MPICC and mpicc, and by pkg-config.
# Which family a header is of is read in the header. CC, a command in words, compiles.

set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
read -ra compiler <<< "${CC:-$(type -P cc || type -P clang || true)}"

# Folders with a header of MPI's, a line each.
includes() {
    local found
    for found in ${MPI_INCLUDES:-}; do echo "$found"; done
    {
        for found in ${MPICC:-} mpicc mpicc.openmpi mpicc.mpich; do
            # What the wrapper would call: all of them know -show.
            type "$found" > /dev/null 2>&1 && "$found" -show 2> /dev/null
        done
        for found in ompi-c mpich mpich2 impi mvapich2; do
            pkg-config --cflags "$found" 2> /dev/null
        done
    } | tr ' ' '\n' | sed -n 's/^-I//p'
    # Where compilers look by themselves.
    echo /usr/include
}

# The family of the header HEADER in FOLDER, or nothing.
family() {
    [ -e "$1/$2" ] || return 0
    [ "$2" = mpi.h ] || { echo abi; return; }
    echo 'OMPI_MAJOR_VERSION I_MPI_NUMVERSION MPICH_NUMVERSION' |
        "${compiler[@]}" -E -P -include "$1/$2" -I "$1" -x c - 2> /dev/null | tail -n 1 |
        sed -E -e '/^OMPI_MAJOR_VERSION .* MPICH_NUMVERSION$/d' -e 's/^OMPI_MAJOR_VERSION .*/mpich/' \
            -e 's/^[0-9].*/openmpi/'
}

[ "$folder" = --list ] || mkdir -p "$folder"
built=
while read -r include; do
    for header in mpi.h mpi_abi.h; do
        family=$(family "$include" "$header")
        case " $built " in *" $family "*) continue ;; esac
        [ -n "$family" ] || continue
        built="$built $family"
        [ "$folder" != --list ] || { echo "$family $include/$header"; continue; }
        options=(-std=c11 -Wall -Wextra -Werror -O2 -shared -fPIC -fvisibility=hidden -I "$source/../include" -I "$include")
        [ "$family" != abi ] || options+=(-DCMPI_ABI)
        # Into place at once, and only what is new: a program may have the former one open.
        "${compiler[@]}" "${options[@]}" -o "$folder/.$family.so" "$source/backend.c"
        cmp -s "$folder/.$family.so" "$folder/$family.so" || mv "$folder/.$family.so" "$folder/$family.so"
        rm -f "$folder/.$family.so"
    done
done < <(includes)

for family in "$@"; do
    case " $built " in
        *" $family "*) ;;
        *) echo "no header of $family's was found: have its mpicc on the PATH, or name its folder in MPI_INCLUDES" >&2
           exit 1 ;;
    esac
done
[ -n "$built" ] || {
    echo "no header of an MPI library was found: have mpicc on the PATH, or name the folder of mpi.h in MPI_INCLUDES" >&2
    exit 1
}
[ "$folder" != --list ] || exit 0
for family in openmpi mpich abi; do
    case " $built " in *" $family "*) ;; *) rm -f "$folder/$family.so" ;; esac
done
echo "backends for:$built"
