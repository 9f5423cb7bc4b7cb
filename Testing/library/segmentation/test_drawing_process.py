"""Pictures are drawn in a process of their own: the same ones, also where that process dies; what the disk says is told as here."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ClamSegLib.segmentation import drawing_process
from ClamSegLib.segmentation.drawing_process import Drawer, draw_here, drawing_apart
from ClamSegLib.segmentation.pictured_case import PicturedCase, PicturedSlice

# A drawer that ends with the first case, as one does that is killed.
DIES = "import sys; from ClamSegLib.segmentation import drawing_child as c; c.write_pictures = lambda *_: __import__('os').abort(); c.main()"


def pictured(title: str = "case") -> PicturedCase:
    random = np.random.default_rng(0)
    organ = np.zeros((60, 50), bool)
    organ[10:50, 10:40] = True
    labels = np.zeros((60, 50), np.uint8)
    labels[20:30, 15:25] = 1
    shown = PicturedSlice(random.integers(0, 255, (60, 50), np.uint8), organ, labels, "slice 1 of 2")
    crop, probability = random.normal(size=(64, 64)).astype(np.float32), random.integers(0, 255, (40, 30), np.uint8)
    return PicturedCase(
        title, "1 lesion", ("CAUTION: lungs not found",), "tiny", "Lungs", "", (255, 0, 0), True, (("Nodule", (0, 255, 0)),), "axial",
        (1.0, 0.8), True, (shown, shown), shown, crop, (-2.5, 4.0), (10, 50), (10, 40), probability, probability // 2,
    )  # fmt: skip


def pixels(folder: Path) -> list[bytes]:
    return [np.asarray(Image.open(folder / name)).tobytes() for name in ("overlay.png", "stages.png")]


@pytest.fixture
def drawer():
    made = Drawer()
    yield made
    made.stop()


def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("here", "apart"):
        (tmp_path / name).mkdir()
    return tmp_path / "here", tmp_path / "apart"


def test_pictures_drawn_apart_are_those_drawn_here(tmp_path, drawer, monkeypatch):
    here, apart = two_folders(tmp_path)
    draw_here(pictured("Gröbner, 病例"), here)
    monkeypatch.setattr(drawing_process, "draw_here", lambda *_: pytest.fail("drawn here"))
    for _ in range(2):  # the process is kept
        drawer.draw(pictured("Gröbner, 病例"), apart)
    assert pixels(apart) == pixels(here)


def test_pictures_are_drawn_here_where_the_process_dies_or_cannot_be_started(tmp_path):
    here, apart = two_folders(tmp_path)
    draw_here(pictured(), here)
    for program in (
        (sys.executable, "-P", "-c", DIES),
        (str(tmp_path / "none"),),
        (sys.executable, "-c", "print('?')"),
    ):
        drawer = Drawer(program)
        drawer.draw(pictured(), apart)
        assert pixels(apart) == pixels(here)
        for picture in apart.iterdir():
            picture.unlink()
        drawer.stop()


@pytest.mark.parametrize("is_stopped", [True, False])
def test_pictures_are_drawn_here_where_the_process_is_stopped_or_does_not_answer(tmp_path, monkeypatch, is_stopped):
    here, apart = two_folders(tmp_path)
    draw_here(pictured(), here)
    monkeypatch.setattr(drawing_process, "_LIMIT_S", 60.0 if is_stopped else 0.5)
    drawer = Drawer((sys.executable, "-c", "import time; time.sleep(600)"))
    drawer.start()
    if is_stopped:
        threading.Timer(0.5, drawer.stop).start()
    drawer.draw(pictured(), apart)
    drawer.stop()
    assert pixels(apart) == pixels(here)


def test_pictures_are_drawn_here_where_no_thread_can_be_started(tmp_path, drawer, monkeypatch):
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    here, apart = two_folders(tmp_path)
    draw_here(pictured(), here)
    monkeypatch.setattr(drawing_process.threading.Timer, "start", refuse)
    drawer.draw(pictured(), apart)
    assert pixels(apart) == pixels(here)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_a_process_killed_between_two_cases_is_started_anew(tmp_path, drawer, monkeypatch):
    drawer.draw(pictured(), tmp_path)
    first = drawer._process
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    monkeypatch.setattr(drawing_process, "draw_here", lambda *_: pytest.fail("drawn here"))
    drawer.draw(pictured(), tmp_path)
    assert drawer._process is not first


def test_who_starts_it_does_not_wait_for_a_case_that_is_being_drawn(drawer):
    with drawer._one_at_a_time:  # as while it draws
        begun = threading.Thread(target=drawer.start, daemon=True)
        begun.start()
        begun.join(30)
        assert not begun.is_alive()


def test_what_the_disk_refuses_is_told_as_if_it_were_written_here(tmp_path, drawer):
    with pytest.raises(OSError, match="No such file") as told:
        drawer.draw(pictured(), tmp_path / "gone")
    assert told.value.errno == errno.ENOENT
    drawer.draw(pictured(), tmp_path)  # and the process lives on


def test_a_run_that_ends_early_leaves_no_process(monkeypatch):
    drawer = Drawer()
    monkeypatch.setattr(drawing_process._Shared, "drawer", drawer)
    processes = []

    def run() -> None:
        with drawing_apart():
            drawing_process.begin_drawing()
            processes.append(drawer._process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert processes[0].wait(30) != 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells of processes in files")
def test_the_process_ends_with_the_one_that_asked(tmp_path, repository):
    script = (
        "import os; from ClamSegLib.segmentation import drawing_process as d; d.begin_drawing();"
        "print(d._Shared.drawer._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    command, deadline = Path(f"/proc/{int(done.stdout)}/cmdline"), time.monotonic() + 30
    while command.is_file() and command.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
