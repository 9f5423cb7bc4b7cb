"""How Slicer installs packages: PyTorch through the PyTorch extension, others through Slicer's own pip.

Whatever pip is asked for, Slicer's own packages are held at their versions: pip refuses rather than replace one.

Called on the main thread after a click only. PyTorchUtilsLogic: SlicerPyTorch's PyTorchUtils.py; pip_ensure and
pip_install: Slicer's Base/Python/slicer/packaging.py (5.11 and later) and util.py.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ClamSegPanel.setup.kept_packages import OF_SLICER, write_constraints
from ClamSegPanel.setup.torch_leftovers import remove_torch_leftovers
from ClamSegWorkflow.scene import SceneError


class SlicerInstaller:
    """The application's ways to install.

    Attributes:
        site_packages: where pip puts packages.
    """

    def __init__(self) -> None:
        self.site_packages = Path(sysconfig.get_paths()["purelib"])

    def has_torch_extension(self) -> bool:
        """Whether Slicer's extension PyTorch, which alone installs it, is loaded."""
        return find_spec("PyTorchUtils") is not None

    def open_extensions_manager(self) -> None:
        """Shows where the extension can be installed.

        Raises:
            SceneError: Slicer runs without its main window.
        """
        window = slicer.util.mainWindow()
        if window is None:
            raise SceneError(_("This Slicer runs without its main window; use Install bundle, or Slicer with one."))
        window.on_ViewExtensionsManagerAction_triggered()

    def install_torch(self, version: str) -> None:
        """PyTorch for this computer's GPU.

        Raises:
            SceneError: the PyTorch extension is missing, or it installed nothing.
        """
        torch = self._torch_logic().installTorch(askConfirmation=False, torchVersionRequirement=version)
        if torch is None:
            raise SceneError(_("The PyTorch extension installed nothing; see Slicer's log, and try its own module."))

    def remove_torch(self) -> None:
        """What is there of PyTorch, also where pip cannot remove it because its record is gone.

        Raises:
            SceneError: the PyTorch extension is missing, or files are in use.
        """
        logic = self._torch_logic()
        try:
            logic.uninstallTorch()
        except (subprocess.CalledProcessError, RuntimeError) as error:
            logging.getLogger(__name__).warning(_("pip could not remove torch: %s"), error)
        try:
            remove_torch_leftovers(self.site_packages)
        except OSError as error:
            words = _(
                "Files of PyTorch are in use ({error}); restart Slicer and use Setup, Repair before anything else."
            )
            raise SceneError(words.format(error=error.strerror or error)) from error

    def install(self, requirements: list[str]) -> None:
        """Packages from the network."""
        packaging = self._packaging()
        with _slicers_own_kept() as kept:
            if packaging is not None and hasattr(packaging, "pip_ensure"):
                packaging.pip_ensure(requirements, constraints=kept, prompt_install=False, requester="ClamSeg")
            else:
                slicer.util.pip_install(["--constraint", str(kept), *requirements])

    def install_with(self, arguments: list[str]) -> None:
        """`pip install` with these very arguments."""
        packaging = self._packaging()
        with _slicers_own_kept() as kept:
            if packaging is not None:
                packaging.pip_install(arguments, constraints=kept, requester="ClamSeg")
            else:
                slicer.util.pip_install(["--constraint", str(kept), *arguments])

    def remove(self, packages: list[str]) -> None:
        """Removes packages."""
        packaging = self._packaging()
        (slicer.util if packaging is None else packaging).pip_uninstall(packages)

    def needs_restart(self) -> bool:
        """Whether this Slicer holds a PyTorch of before in memory."""
        return "torch" in sys.modules

    @staticmethod
    def _packaging() -> Any:
        try:
            from slicer import packaging
        except ImportError:  # before 5.11
            return None
        return packaging

    @staticmethod
    def _torch_logic() -> Any:
        try:
            import PyTorchUtils
        except ModuleNotFoundError as error:
            raise SceneError(
                _(
                    "PyTorch is installed through the extension 'PyTorch', which is missing; install it in the "
                    "Extensions Manager, restart Slicer, and click again. Without a network use Install bundle."
                )
            ) from error
        return PyTorchUtils.PyTorchUtilsLogic()


@contextmanager
def _slicers_own_kept() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="clamseg-kept-") as folder:
        yield write_constraints(Path(folder), OF_SLICER)
