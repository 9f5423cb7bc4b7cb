"""Setup in the window: what works, install, repair, models, bundles, the support file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from own_models import tiny_model
from test_setup_files import GPU, WHOLE, report, wheel
from volumes_in_scene import add_volume, plain

from ClamSegPanel.setup.offline_bundle import make_bundle


class Installer:
    """Keeps what it is told to install; `broken` raises it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.broken: Exception | None = None
        self.restart = False
        self.torch_extension = True
        self.opened = 0

    def has_torch_extension(self) -> bool:
        return self.torch_extension

    def open_extensions_manager(self) -> None:
        self.opened += 1

    def _do(self, what: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.done.append(what)

    def install_torch(self, version: str) -> None:
        self._do(("torch", version))

    def remove_torch(self) -> None:
        self._do("remove torch")

    def install(self, requirements: list[str]) -> None:
        self._do(requirements)

    def install_with(self, arguments: list[str]) -> None:
        self._do(arguments)

    def remove(self, packages: list[str]) -> None:
        self._do(("remove", packages))

    def needs_restart(self) -> bool:
        return self.restart


@pytest.fixture
def panel(models: Path, window: Any) -> Any:
    window.installer = window.panel.setup.installer = Installer()
    window.open("setupSection")
    return window


def found(panel: Any, **event: Any) -> None:
    """The worker has looked."""
    panel.panel.setup.look()
    panel.worker.answer(**({"event": "done", **WHOLE} | event))
    panel.process_events()


def looks(panel: Any) -> int:
    return [command for command, _, _ in panel.worker.requests].count("hello")


def test_what_is_installed_and_works_is_shown(panel: Any) -> None:
    found(panel)
    assert panel.text("setupLabel") == "Everything that is needed is installed and works."
    cells = panel.cells("packageTable")
    assert ["torch", "2.13.0+cpu", "works"] in cells
    assert ["cpu x86_64", "2.0 of 4.0 GB free", "works"] in cells
    assert "cpu x86_64, 2.0 GB free" in panel.entries("deviceSelector")


def test_what_does_not_work_is_said_in_red_and_opens_the_section(panel: Any) -> None:
    panel.ui.setupSection.collapsed = True
    found(panel, torch=None, problems=["PyTorch is installed only in part (x); use Setup, Repair."])
    assert not panel.ui.setupSection.collapsed
    assert "only in part" in panel.text("setupLabel")
    assert "#b00020" in panel.ui.setupLabel.styleSheet
    assert ["torch", "2.13.0+cpu", "does not work"] in panel.cells("packageTable")


def test_a_worker_that_cannot_start_is_told(panel: Any) -> None:
    panel.panel.setup.look()
    panel.worker.answer(event="error", message="The worker could not be started; use Setup, Repair.")
    assert "could not be started" in panel.text("setupLabel")
    panel.click("refreshButton")
    assert looks(panel) == 2


def test_install_asks_and_then_installs_what_is_missing_and_looks_again(panel: Any) -> None:
    found(panel, **report(torch=None, packages={"torch": None, "safetensors": None}))
    panel.dialogs.says_yes = False
    panel.click("installButton")
    assert "PyTorch >=2.6, safetensors>=0.4" in panel.dialogs.shown[-1][2]
    assert panel.installer.done == []
    panel.dialogs.says_yes = True
    panel.click("installButton")
    assert panel.installer.done[0] == ("torch", ">=2.6")
    assert "safetensors>=0.4" in panel.installer.done[1]
    assert panel.worker.killed, "it holds the packages' files"
    assert looks(panel) == 2
    assert panel.text("setupStateLabel") == "Installed."


def test_a_failed_installation_is_told_and_looked_at(panel: Any) -> None:
    found(panel, **report(packages={"safetensors": None}))
    panel.installer.broken = subprocess.CalledProcessError(1, ["pip"])
    panel.click("installButton")
    assert "The installation failed" in panel.dialogs.errors()[-1]
    assert looks(panel) == 2


def test_repair_removes_torch_first_and_offers_a_restart(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    restarted: list[int] = []
    monkeypatch.setattr(slicer.util, "restart", lambda: restarted.append(1), raising=False)
    found(panel, torch=None)
    panel.installer.restart = True
    panel.click("repairButton")
    assert panel.installer.done == ["remove torch", ("torch", ">=2.6")]
    assert restarted == [1]


@pytest.mark.parametrize("button", ["installButton", "repairButton"])
def test_without_the_pytorch_extension_the_extensions_manager_is_offered_and_nothing_else_asked(
    panel: Any, button: str
) -> None:
    panel.installer.torch_extension = False
    found(panel, **report(torch=None, packages={"torch": None, "safetensors": None}))
    panel.dialogs.says_yes = False
    panel.click(button)
    assert [title for _, title, _ in panel.dialogs.shown] == ["Extensions Manager?"]
    assert panel.installer.opened == 0
    panel.dialogs.says_yes = True
    panel.click(button)
    assert panel.installer.opened == 1
    assert panel.installer.done == []
    assert panel.dialogs.errors() == []
    assert panel.text("setupStateLabel") == "Not installed: Slicer's extension PyTorch is missing."


def test_the_extension_is_found_by_its_module_and_its_manager_is_slicers(
    panel: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import types

    import slicer

    from ClamSegPanel.setup.slicer_installer import SlicerInstaller
    from ClamSegWorkflow.scene import SceneError

    installer = SlicerInstaller()
    assert not installer.has_torch_extension()
    (tmp_path / "PyTorchUtils.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installer.has_torch_extension()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    with pytest.raises(SceneError, match="without its main window"):
        installer.open_extensions_manager()
    opened: list[int] = []
    main_window = types.SimpleNamespace(on_ViewExtensionsManagerAction_triggered=lambda: opened.append(1))
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: main_window)
    installer.open_extensions_manager()
    assert opened == [1]


def test_repair_speaks_of_removing_pytorch_only_where_there_is_one(panel: Any) -> None:
    found(panel, **report(torch=None, packages={"torch": None}))
    panel.click("repairButton")
    assert "removed" not in panel.dialogs.shown[-1][2]
    assert panel.installer.done == [("torch", ">=2.6")]
    found(panel)
    panel.click("repairButton")
    assert "PyTorch will be removed" in panel.dialogs.shown[-1][2]


def test_torch_comes_through_the_pytorch_extension_and_others_through_slicer(
    monkeypatch: Any, panel: Any, tmp_path: Path
) -> None:
    import types

    import slicer

    calls: list[Any] = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
            calls.append(("installTorch", askConfirmation, torchVersionRequirement))
            return object()

        def uninstallTorch(self, askConfirmation=False, forceComputationBackend=None):
            calls.append("uninstallTorch")
            raise subprocess.CalledProcessError(1, ["pip"])  # its record is gone

    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    kept: list[str] = []

    def pip(what: Any, constraints: Path, **how: Any) -> None:
        calls.append((what, how))
        kept.extend(line.partition("==")[0] for line in constraints.read_text().splitlines())

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip)
    monkeypatch.setattr(slicer.packaging, "pip_install", pip)
    monkeypatch.setattr(slicer.packaging, "pip_uninstall", calls.append)
    from ClamSegPanel.setup.slicer_installer import SlicerInstaller

    installer = SlicerInstaller()
    installer.site_packages = tmp_path / "site-packages"
    (installer.site_packages / "torch" / "lib").mkdir(parents=True)
    installer.remove_torch()
    assert not (installer.site_packages / "torch").exists()
    installer.install_torch(">=2.6")
    installer.install(["safetensors>=0.4"])
    installer.install_with(["--no-index", "x"])
    installer.remove(["MNN"])
    assert calls == [
        "uninstallTorch",
        ("installTorch", False, ">=2.6"),
        (["safetensors>=0.4"], {"prompt_install": False, "requester": "ClamSeg"}),
        (["--no-index", "x"], {"requester": "ClamSeg"}),
        ["MNN"],
    ]
    assert {name.lower() for name in kept} == {"numpy", "scipy", "simpleitk"}, "Slicer's own are never replaced"


# The faster engine


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """pip's look is answered on this disk: a program of Python that the test may change."""
    import ClamSegPanel.setup.faster_engine_view as view

    program = ["-c", "pass"]
    asked: list[list[str]] = []

    def look(engine: Any, kept: Path) -> list[str]:
        asked.append(kept.read_text().splitlines())
        return program

    monkeypatch.setattr(view, "look_arguments", look)
    return [program, asked]


def compute_faster(panel: Any) -> None:
    panel.click("engineButton")
    panel.wait_until(lambda: panel.text("engineButton") == "Compute faster...")


def requests(panel: Any) -> list[str]:
    return [command for command, _, _ in panel.worker.requests]


def test_only_a_computer_without_a_gpu_is_offered_the_engine(panel: Any) -> None:
    assert not panel.ui.engineButton.isVisible()
    found(panel)
    assert panel.ui.engineButton.isVisible()
    assert ["Faster computing (MNN)", "", "not installed, optional"] in panel.cells("packageTable")
    found(panel, devices=[*WHOLE["devices"], GPU])
    assert not panel.ui.engineButton.isVisible()
    assert not panel.ui.engineLabel.isVisible()


def test_a_processor_for_eight_bits_is_offered_openvino_which_is_installed_and_tried(panel: Any, fits: Any) -> None:
    found(panel, vnni=True)
    assert ["Faster computing (OpenVINO)", "", "not installed, optional"] in panel.cells("packageTable")
    compute_faster(panel)
    assert panel.installer.done[-1][-1] == "openvino>=2024.4"
    assert panel.worker.requests[-1][1]["engine"] == "openvino"
    panel.worker.requests[-2][2]({"event": "done", **report(vnni=True, engines={"openvino": "2026.4.1"})})
    assert panel.text("engineButton") == "Remove OpenVINO..."


def test_the_engine_is_installed_only_after_a_yes_and_replaces_nothing(panel: Any, fits: Any) -> None:
    import numpy

    found(panel)
    panel.dialogs.says_yes = False
    panel.click("engineButton")
    question = panel.dialogs.shown[-1][2]
    for told in ("30 MB", "120 MB", "99.9 %", "Slicer goes on running", "sends nothing"):
        assert told in question
    assert fits[1] == [], "pip was not even asked"
    panel.dialogs.says_yes = True
    compute_faster(panel)
    (call,) = panel.installer.done
    assert call[:3] == ["--only-binary", ":all:", "--constraint"]
    assert call[-3:] == ["MNN>=3.6", "onnx>=1.16", "onnxscript>=0.2"]
    assert not Path(call[3]).exists(), "what was written for pip is taken away"
    assert f"numpy=={numpy.__version__}" in fits[1][0], "everything installed is held"


def test_the_worker_starts_anew_looks_and_tries_the_engine_and_slicer_is_not_restarted(panel: Any, fits: Any) -> None:
    found(panel)
    panel.installer.restart = True  # Slicer holds PyTorch in memory, which stays as it is
    compute_faster(panel)
    assert panel.worker.killed, "it holds the packages' files"
    assert requests(panel)[-2:] == ["hello", "try_engine"]
    assert panel.worker.requests[-1][1]["engine"] == "mnn"
    assert [title for _, title, _ in panel.dialogs.shown] == ["Compute faster?"]
    panel.worker.requests[-2][2]({"event": "done", **report(engines={"mnn": "3.6.1"})})
    panel.worker.answer(event="done", engine="mnn", difference=1e-4)
    assert ["Faster computing (MNN)", "3.6.1", "installed"] in panel.cells("packageTable")
    assert panel.text("engineButton") == "Remove MNN..."
    assert "MNN is installed and computes as the trained network does" in panel.text("setupStateLabel")
    assert panel.dialogs.errors() == []


def test_an_engine_that_does_not_compute_here_is_removed_again(panel: Any, fits: Any) -> None:
    found(panel)
    compute_faster(panel)
    killed = panel.worker.killed
    panel.worker.answer(event="error", message="The worker was killed.")
    assert panel.installer.done[-1] == ("remove", ["MNN"])
    assert "does not compute on this computer and was removed" in panel.dialogs.errors()[-1]
    assert panel.worker.killed > killed, "it may hold the files of the engine"
    assert requests(panel)[-1] == "hello", "looked at once more"
    panel.worker.answer(event="done", **WHOLE)
    assert panel.ui.engineButton.isVisible()


def run_something(panel: Any) -> None:
    import numpy as np

    panel.ui.volumeSelector.setCurrentNode(add_volume(panel.scene, np.zeros((4, 8, 8), np.int16)))
    panel.click("applyButton")
    panel.wait_until(lambda: requests(panel)[-1] == "inspect")


def test_an_engine_whose_trial_was_cancelled_with_a_run_does_not_stay_untried(panel: Any, fits: Any) -> None:
    found(panel)
    compute_faster(panel)
    run_something(panel)
    panel.click("applyButton")  # which ends the worker, and the trial that was before the run
    panel.process_events()
    assert panel.installer.done[-1] == ("remove", ["MNN"])
    assert "its trial was interrupted" in panel.text("setupStateLabel")
    assert requests(panel)[-1] == "hello", "looked at once more"
    assert panel.dialogs.errors() == []


def test_an_engine_whose_trial_another_installation_interrupts_does_not_stay_either(panel: Any, fits: Any) -> None:
    found(panel)
    compute_faster(panel)
    panel.click("repairButton")
    panel.process_events()
    assert panel.installer.done[-1] == ("remove", ["MNN"])
    assert "its trial was interrupted" in panel.text("setupStateLabel")


def test_an_engine_that_failed_while_a_run_was_under_way_is_removed_when_that_has_ended(panel: Any, fits: Any) -> None:
    found(panel)
    compute_faster(panel)
    *_, (_, _, trial) = panel.worker.requests
    run_something(panel)
    killed = panel.worker.killed
    trial({"event": "error", "message": "The worker was killed."})
    assert ("remove", ["MNN"]) not in panel.installer.done
    assert panel.worker.killed == killed, "the run goes on"
    panel.worker.answer(event="error", message="The worker was killed.")
    panel.process_events()
    assert panel.installer.done[-1] == ("remove", ["MNN"])
    assert panel.dialogs.errors()[-1].startswith("MNN does not compute on this computer and was removed")


def test_a_trial_that_ended_is_not_told_as_interrupted_by_a_later_run(panel: Any, fits: Any) -> None:
    found(panel)
    compute_faster(panel)
    panel.worker.answer(event="done", engine="mnn", difference=1e-4)
    run_something(panel)
    panel.click("applyButton")
    panel.process_events()
    assert ("remove", ["MNN"]) not in panel.installer.done


def test_an_engine_that_is_installed_is_removed_after_a_yes_and_not_while_a_run_may_use_it(panel: Any) -> None:
    found(panel, engines={"mnn": "3.6.1"})
    run_something(panel)
    panel.click("engineButton")
    assert "A segmentation is running" in panel.dialogs.errors()[-1]
    panel.click("applyButton")
    panel.dialogs.says_yes = False
    panel.click("engineButton")
    assert panel.installer.done == []
    panel.dialogs.says_yes = True
    panel.click("engineButton")
    assert panel.installer.done == [("remove", ["MNN"])]
    panel.worker.answer(event="done", **WHOLE)
    assert panel.text("engineButton") == "Compute faster..."
    assert panel.text("setupStateLabel") == "MNN was removed."


def test_an_engine_that_would_replace_a_package_of_slicer_is_refused_and_nothing_changes(panel: Any, fits: Any) -> None:
    found(panel)
    told = "ERROR: ResolutionImpossible\\n    The user requested (constraint) numpy==2.4.6"
    fits[0][:] = ["-c", f"import sys; print('{told}', file=sys.stderr); sys.exit(1)"]
    compute_faster(panel)
    assert "another version of numpy" in panel.dialogs.errors()[-1]
    assert panel.installer.done == []
    assert not panel.worker.killed, "the worker goes on"
    assert panel.ui.engineButton.enabled


def test_an_installation_of_the_engine_that_fails_leaves_the_panel_working(panel: Any, fits: Any) -> None:
    found(panel)
    panel.installer.broken = subprocess.CalledProcessError(1, ["pip"])
    compute_faster(panel)
    assert "ClamSeg computes as before" in panel.dialogs.errors()[-1]
    assert panel.text("setupStateLabel") == "MNN was not installed."
    assert requests(panel)[-1] == "hello"
    panel.worker.answer(event="done", **WHOLE)
    panel.installer.broken = None
    compute_faster(panel)
    assert requests(panel)[-1] == "try_engine"


def test_the_look_for_the_engine_can_be_cancelled(panel: Any, fits: Any) -> None:
    found(panel)
    fits[0][:] = ["-c", "import time; time.sleep(60)"]
    panel.click("engineButton")
    assert panel.text("engineButton") == "Cancel"
    panel.click("engineButton")
    assert panel.text("engineButton") == "Compute faster..."
    assert panel.text("setupStateLabel") == "Cancelled; nothing was installed."
    assert panel.installer.done == []


def test_a_long_run_on_the_processor_says_where_it_could_become_shorter(panel: Any) -> None:
    import numpy as np

    panel.ui.volumeSelector.setCurrentNode(add_volume(panel.scene, np.zeros((20, 8, 8), np.int16)))
    found(panel)
    model = panel.panel.segment.chosen_model()["name"]
    level = int(panel.ui.levelSlider.value)
    panel.panel.segment.measured(model, "cpu", level, 0.1)
    assert "Setup offers" not in panel.text("levelTimeLabel")
    panel.panel.segment.measured(model, "cpu", level, 1.0)
    assert panel.text("levelTimeLabel").endswith("about 20 s in the network; Setup offers a faster engine")
    found(panel, engines={"mnn": "3.6.1"})
    assert panel.text("levelTimeLabel").endswith("about 20 s in the network")


def test_models_are_imported_shown_and_removed_only_after_a_yes(panel: Any, models: Path, tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "Läsion 1")
    panel.dialogs.paths = [str(source)]
    panel.click("importModelButton")
    rows = [row[0] for row in panel.cells("modelTable")]
    assert "Läsion 1" in rows
    assert "Läsion 1" in panel.entries("modelSelector")
    panel.click_cell("modelTable", rows.index("Nodules and infection in chest CT"))
    assert not panel.ui.removeModelButton.enabled, "shipped models stay"
    panel.click_cell("modelTable", rows.index("Läsion 1"))
    panel.dialogs.says_yes = False
    panel.click("removeModelButton")
    assert (models / "Läsion 1").is_dir()
    panel.dialogs.says_yes = True
    panel.click("removeModelButton")
    assert not (models / "Läsion 1").exists()
    assert "Läsion 1" not in panel.entries("modelSelector")
    assert panel.dialogs.errors() == []


def test_a_damaged_model_is_refused_in_words(panel: Any, models: Path, tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "m")
    (source / "weights.safetensors").write_bytes(b"other")
    panel.dialogs.paths = [str(source)]
    panel.click("importModelButton")
    assert "SHA-256 differs" in panel.dialogs.errors()[-1]
    assert not (models / "m").exists()


def bundle(tmp_path: Path) -> Path:
    wheel(tmp_path / "wheels")
    tiny_model(tmp_path / "more" / "aus dem Paket")
    about = {"clamseg": "0.1.0", "requirements": ["tiny-wheel==1.0"]}
    make_bundle(tmp_path / "offline.zip", tmp_path / "wheels", tmp_path / "more", about, lambda done, total: None)
    return tmp_path / "offline.zip"


def test_a_bundle_is_checked_and_then_installed_with_its_models(panel: Any, models: Path, tmp_path: Path) -> None:
    found(panel)
    panel.dialogs.paths = [str(bundle(tmp_path))]
    panel.click("installBundleButton")
    assert panel.text("installBundleButton") == "Cancel"
    panel.wait_until(lambda: panel.text("installBundleButton") == "Install bundle...")
    (call,) = panel.installer.done
    assert call[:2] == ["--no-index", "--find-links"]
    assert call[-1] == "tiny-wheel==1.0"
    assert not Path(call[2]).exists(), "what was unpacked is taken away"
    assert "aus dem Paket" in panel.entries("modelSelector")
    assert panel.dialogs.errors() == []


def test_a_damaged_bundle_is_refused_and_nothing_is_installed(panel: Any, models: Path, tmp_path: Path) -> None:
    found(panel)
    path = bundle(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"VERSION")] ^= 1
    path.write_bytes(bytes(data))
    panel.dialogs.paths = [str(path)]
    panel.click("installBundleButton")
    panel.wait_until(lambda: panel.text("installBundleButton") == "Install bundle...")
    assert panel.dialogs.errors()
    assert panel.installer.done == []
    assert sorted(each.name for each in models.iterdir()) == ["tiny"]


def test_a_bundle_is_made_from_what_works_here(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ClamSegPanel.setup.bundle_view as view

    def local(requirements: list[str], folder: Path) -> list[str]:
        """In the place of the network: a wheel on this disk."""
        assert requirements[0] == "torch==2.13.0+cpu"
        source = wheel(tmp_path / "index")
        return ["-m", "pip", "download", "--no-index", "--no-deps", "--dest", str(folder), str(source)]

    monkeypatch.setattr(view, "download_arguments", local)
    found(panel)
    target = tmp_path / "Für die Klinik.zip"
    panel.dialogs.paths = [str(target)]
    panel.click("makeBundleButton")
    panel.wait_until(lambda: panel.text("makeBundleButton") == "Make bundle...")
    assert panel.dialogs.errors() == []
    assert "The bundle is ready" in panel.text("setupStateLabel")
    with zipfile.ZipFile(target) as packed:
        assert "models/tiny/config.json" in packed.namelist()
    assert [path.name for path in tmp_path.glob(".clamseg-wheels-*")] == []


def test_a_download_that_fails_says_the_last_words_of_pip(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ClamSegPanel.setup.bundle_view as view

    words = ["-m", "pip", "download", "--no-index", "--no-cache-dir", "no-such-package-here"]
    monkeypatch.setattr(view, "download_arguments", lambda requirements, folder: words)
    found(panel)
    panel.dialogs.paths = [str(tmp_path / "x.zip")]
    panel.click("makeBundleButton")
    panel.wait_until(lambda: panel.text("makeBundleButton") == "Make bundle...")
    assert "no-such-package-here" in panel.dialogs.errors()[-1]
    assert not (tmp_path / "x.zip").exists()
    assert [path.name for path in tmp_path.glob(".clamseg-wheels-*")] == []


def test_a_second_click_cancels_the_bundle_and_keeps_nothing(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ClamSegPanel.setup.bundle_view as view

    monkeypatch.setattr(view, "download_arguments", lambda *_: ["-c", "import time; time.sleep(60)"])
    found(panel)
    panel.dialogs.paths = [str(tmp_path / "x.zip")]
    panel.click("makeBundleButton")
    assert not panel.ui.installBundleButton.enabled
    panel.click("makeBundleButton")
    assert panel.text("setupStateLabel") == "Cancelled; nothing was kept."
    assert [path.name for path in tmp_path.iterdir() if "clamseg" in path.name or path.suffix == ".zip"] == []


def test_the_support_file_lists_what_is_in_it_and_names_no_patient(panel: Any, tmp_path: Path) -> None:
    import numpy as np

    found(panel)
    add_volume(panel.scene, np.zeros((4, 8, 8), np.int16), plain(), name="Meier Anna 1970")
    panel.panel.log("Meier Anna 1970: reading /data/Meier/x.nrrd failed")
    panel.dialogs.paths = [str(tmp_path / "support.zip")]
    panel.click("supportBundleButton")
    asked = panel.dialogs.shown[-1][2]
    assert "log.txt" in asked
    assert "installation.json" in asked
    with zipfile.ZipFile(tmp_path / "support.zip") as packed:
        everything = "".join(packed.read(name).decode() for name in packed.namelist())
    assert "meier" not in everything.lower()
    assert "failed" in everything or "reading" in everything


def test_nothing_is_installed_while_a_segmentation_runs(panel: Any) -> None:
    import numpy as np

    found(panel, **report(packages={"safetensors": None}))
    panel.ui.volumeSelector.setCurrentNode(add_volume(panel.scene, np.zeros((4, 8, 8), np.int16)))
    panel.click("applyButton")
    assert panel.text("applyButton") == "Cancel"
    panel.click("installButton")
    assert "A segmentation is running" in panel.dialogs.errors()[-1]
    assert panel.installer.done == []
    assert not panel.worker.killed


def test_the_real_worker_tells_what_is_there_and_works(real_window: Any) -> None:

    real_window.open("setupSection")
    real_window.click("refreshButton")
    real_window.wait_until(lambda: real_window.cells("packageTable"))
    assert ["torch", version("torch"), "works"] in real_window.cells("packageTable")
    assert any(part.startswith("cpu") for part, _, _ in real_window.cells("packageTable"))
