"""Libraries are loaded without the collector, which works as before when they are there."""

import gc
import importlib
import subprocess
import sys
import threading

import pytest

from ClamSegLib.system.loading import loading


def test_nothing_is_collected_while_libraries_are_loaded_and_what_was_made_then_is_never_looked_through():
    gc.unfreeze()
    sys.modules.pop("this", None)
    with loading():
        assert not gc.isenabled()
        importlib.import_module("this")
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    gc.unfreeze()


def test_garbage_is_not_kept_where_nothing_had_to_be_loaded():
    gc.unfreeze()
    with loading():
        pass
    assert gc.get_freeze_count() == 0


def test_the_collector_works_again_where_loading_failed():
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()


def test_the_collector_rests_until_the_last_of_several_threads_has_loaded():
    began, may_end, turn_s = threading.Event(), threading.Event(), sys.getswitchinterval()

    def other() -> None:
        with loading():
            began.set()
            may_end.wait(30)

    thread = threading.Thread(target=other)
    with loading():
        thread.start()
        assert began.wait(30)
    assert not gc.isenabled()
    may_end.set()
    thread.join()
    assert gc.isenabled()
    assert sys.getswitchinterval() == turn_s


def test_a_scan_is_begun_before_torch_is_loaded(tmp_path):
    program = """
import sys
from ClamSegLib.imaging import reader_process
from ClamSegLib.system.paths import resources_folder
begun = []
reader_process.begin_reading = lambda path, series: begun.append((path.name, "torch" in sys.modules))
from ClamSegLib.cli import main
scan = resources_folder() / "Samples" / "ct_chest.nrrd"
code = main(["segment", str(scan), "--model", "ct-lung-lesion", "--threads", "1", "--device", "cpu", "--output", sys.argv[1], "--progress", "none"])
print(code, begun)
"""
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert told.stdout.splitlines()[-1] == f"0 {[('ct_chest.nrrd', False)] * 2}", (
        told.stderr
    )  # before and after the cases are known
