#!/bin/sh
# A product of two small NumPy matrices makes PyTorch's convolutions take twice to three times as long, after it has ended.
#
# Versions:  numpy 2.4.6 (its wheel brings OpenBLAS with threads of its own), torch 2.13.0 (OpenMP), Python 3.11 on Linux, two cores or more.
# Input:     turns of eight NumPy products of 128 x 128 and six torch convolutions of 8 x 16 x 96 x 96; both libraries as installed. Only
#            the convolutions are timed; the products are done before the clock starts.
# Expected:  the convolutions take no longer than without the products, as they do with products of 64 x 64, with products of
#            128 x 128 by torch, or with OPENBLAS_NUM_THREADS=1.
# Behaviour: from a size on (between 64 and 128) OpenBLAS wakes one thread a core. When the product has ended those threads wait for the next
#            one without going to sleep, on the cores that the threads of torch wait for each other on. Nothing says so: a profiler
#            shows slow convolutions, and the processor is busy.
# Who is hit: pipelines that prepare a slice by NumPy and run a network on it, in turns, on a CPU: normalisation, resampling or atlases
#            written as products of matrices.
# Output seen on 2026-12-01 (two cores, nothing else running; 0.99, 2.06, 0.45 and 0.97 times the convolutions without products):
#   64 by NumPy not slower
#   128 by NumPy slower
#   128 by torch not slower
#   128 by NumPy, one thread, not slower
# Ends with 0 while this is so, with 1 where it has changed, with 77 where there is one core only.
set -eu
[ "$(nproc)" -ge 2 ] || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
cd "$folder"
cat >turns.py <<'PYTHON_END'
import sys
import time

import numpy as np
import torch
from torch.nn.functional import conv2d

side, library = int(sys.argv[1]), sys.argv[2]
image, kernels = torch.ones(8, 16, 96, 96), torch.ones(16, 16, 3, 3)
matrix = {"numpy": np.ones((side, side), np.float32), "torch": torch.ones(side, side), "none": None}[library]
seconds = []
for _ in range(40):
    for _ in range(8 if matrix is not None else 0):
        matrix @ matrix
    started = time.perf_counter()
    for _ in range(6):
        conv2d(image, kernels, padding=1)
    seconds.append(time.perf_counter() - started)
print(sorted(seconds[10:])[15])
PYTHON_END
cat >compare.py <<'PYTHON_END'
import os
import statistics
import subprocess
import sys


def seconds(*words, threads=""):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"OPENBLAS_NUM_THREADS": threads} if threads else {}
    return float(subprocess.run([sys.executable, "turns.py", *words], env=environment, check=True, capture_output=True).stdout)


kinds = {
    "64 by NumPy": (("64", "numpy"), ""),
    "128 by NumPy": (("128", "numpy"), ""),
    "128 by torch": (("128", "torch"), ""),
    "128 by NumPy, one thread,": (("128", "numpy"), "1"),
}
ratios = {name: [] for name in kinds}
for _ in range(5):
    alone = seconds("64", "none")
    for name, (words, threads) in kinds.items():
        ratios[name].append(seconds(*words, threads=threads) / alone)
for name, found in ratios.items():
    ratio = statistics.median(found)
    print(name, "slower" if ratio > 1.45 else "not slower")
    print(name, f"{ratio:.2f}", file=sys.stderr)
PYTHON_END
environment/bin/python compare.py 2>messages | tee seen
printf '%s\n' "64 by NumPy not slower" "128 by NumPy slower" "128 by torch not slower" "128 by NumPy, one thread, not slower" >expected
if ! diff expected seen; then
    cat messages >&2
    echo "This has changed." >&2
    exit 1
fi
cat messages >&2
