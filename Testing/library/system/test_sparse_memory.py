import subprocess
import sys

import numpy as np
import pytest

from ClamSegLib.system.sparse_memory import zeros_on_demand

# 419 MB of lesion numbers in which a few voxels of ten slices are written, then all of them read.
FEW_VOXELS = """
import numpy as np
from ClamSegLib.system.sparse_memory import zeros_on_demand
def resident_mb():
    return next(int(l.split()[1]) / 1e3 for l in open("/proc/self/status") if l.startswith("VmRSS"))
before = resident_mb()
numbers = zeros_on_demand((400, 512, 512), np.int32)
for k in range(0, 400, 40):
    numbers[k, 200:210, 100:110] = k + 1
found = sum(int(np.count_nonzero(of_slice)) for of_slice in numbers)
print(found, resident_mb() - before)
"""


@pytest.mark.parametrize(("shape", "kind"), [((3, 4), np.uint8), ((7, 300, 400), np.int32), ((0, 5), np.bool_)])
def test_what_is_made_on_demand_is_zero_writable_and_of_the_shape_and_kind_asked_for(shape, kind):
    made = zeros_on_demand(shape, kind)
    assert made.shape == shape
    assert made.dtype == kind
    assert not made.any()
    made[...] = 1
    assert made.all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_few_voxels_written_in_a_large_scan_take_little_memory(repository):
    told = subprocess.run(
        [sys.executable, "-c", FEW_VOXELS], cwd=repository, capture_output=True, text=True, check=True
    )
    found, grown_mb = told.stdout.split()
    assert int(found) == 1000
    assert float(grown_mb) < 10  # 42 with pages of 2 MB, 419 where all are taken


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for more than it can address")
def test_no_room_for_an_array_is_told_as_everywhere_else():
    with pytest.raises(MemoryError, match="are not there"):
        zeros_on_demand((1 << 30, 1 << 20), np.int32)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="advice for Linux")
def test_a_kernel_that_knows_no_large_pages_is_no_error(monkeypatch):
    monkeypatch.setattr("ClamSegLib.system.sparse_memory.mmap.MADV_NOHUGEPAGE", 12345)  # advice that no kernel knows
    assert not zeros_on_demand((400, 512, 9), np.uint8).any()
