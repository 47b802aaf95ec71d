#!/bin/sh
# Compiles the test programs of the PTX emulator. Needed only after a change to one of the .cu files.
set -e
cd "$(dirname "$0")"
for source in *.cu; do
    flags=
    [ "$source" = fast_math.cu ] && flags=-use_fast_math
    nvcc -arch=sm_80 -O3 $flags -ptx "$source" -o - | sed 's/^\.version .*/.version 7.1/' > "${source%.cu}.ptx"
done
