"""The environment of the page in the browser, `.venv-web`, made by run.py beside `.venv`.

trame-slicer asks for an older version of Slicer's core than the panel's tests, so one environment cannot hold both. The
page's own packages lie in `.venv-web`; everything else, torch first, it finds in `.venv`, whose packages come second.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from Packaging.machine import get_system_packages, say

CONSTRAINTS = "constraints-web.txt"
DRAWING_PACKAGES = ("libegl1", "libgl1-mesa-dri")
# Playwright's driver needs libatomic1, which Chromium does not bring along.
BROWSER_PACKAGES = ("chromium", "fonts-dejavu-core", "libatomic1")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_BESIDE = "zz_clamseg.pth"
# Draws one picture off screen, as every view of the page does, and loads all that the page stands on.
_DRAW = """
import slicer, trame_slicer, vtk
window = vtk.vtkRenderWindow()
window.SetOffScreenRendering(1)
renderer = vtk.vtkRenderer()
renderer.SetBackground(1, 0, 0)
window.AddRenderer(renderer)
window.Render()
red = vtk.vtkUnsignedCharArray()
window.GetPixelData(0, 0, 0, 0, 0, red, 0)
raise SystemExit(0 if red.GetNumberOfTuples() and red.GetTuple(0)[0] > 200 else 1)
"""


class PageEnvironment:
    """`.venv-web` of a checkout.

    Args:
        home: the checkout.
        base: the Python of `.venv`, complete and with pip.
    """

    def __init__(self, home: Path, base: Path) -> None:
        self._home, self._base = home, base
        self.folder = home / ".venv-web"
        self.python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self._stamp = self.folder / "clamseg-ready.json"
        self._drawn = self.folder / "clamseg-draws"

    def ensure(self, extras: tuple[str, ...]) -> str:
        """Makes or completes it, with what drawing needs of the system; '' or a sentence on what failed."""
        return self._ensure_packages(extras) or self._ensure_drawing()

    def wanted_state(self, extras: tuple[str, ...]) -> dict[str, object]:
        """What it must have been made from to be taken as it is."""
        digest = hashlib.sha256()
        for name in ("pyproject.toml", CONSTRAINTS):
            digest.update((self._home / name).read_bytes())
        return {
            "hash": digest.hexdigest(), "home": str(self._home), "python": sys.version.split()[0], "extras": list(extras)
        }  # fmt: skip

    def is_ready(self, extras: tuple[str, ...]) -> bool:
        """Whether it is complete for these extras; it may hold more."""
        try:
            found = json.loads(self._stamp.read_text(encoding="utf-8"))
            held = set(found.pop("extras"))
        except (OSError, ValueError, KeyError, AttributeError):
            return False
        wanted = self.wanted_state(())
        del wanted["extras"]
        return self.python.exists() and found == wanted and held >= set(extras)

    def _ensure_packages(self, extras: tuple[str, ...]) -> str:
        if self.is_ready(extras):
            return ""
        import tomllib
        import venv

        say(f"Setting up {self.folder}, the environment of the page (once, a minute, about 1.3 GB of disk) ...")
        project = tomllib.loads((self._home / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        wanted = [line for extra in extras for line in project["optional-dependencies"][extra]]
        # Without pip of its own, and without the packages of `.venv` while it is filled: pip must not count those.
        try:
            venv.EnvBuilder(with_pip=False, clear=True).create(self.folder)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"{self.folder} could not be made ({error}); remove that folder, check disk and rights, run again."
        pip = [str(self._base), "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "--no-input"]
        install = [*pip, "install", "--retries", "2", "-c", str(self._home / CONSTRAINTS), *wanted]
        if subprocess.run(install, cwd=self._home, check=False).returncode:
            return "The packages of the page could not be installed; the lines above say why."
        beside = _packages_folder(self._base)
        (_packages_folder(self.python) / _BESIDE).write_text(
            f"import site; site.addsitedir({str(beside)!r})\n", encoding="utf-8"
        )
        self._stamp.write_text(json.dumps(self.wanted_state(extras)), encoding="utf-8")
        return ""

    def _ensure_drawing(self) -> str:
        """A picture is drawn once; later starts do not wait for it again."""
        if self._drawn.exists():
            return ""
        why = self._why_not_drawn()
        if why:
            problem = get_system_packages(DRAWING_PACKAGES, "The page draws with libraries of the system")
            if problem:
                return problem
            why = self._why_not_drawn()
        if why:
            return f"The page cannot draw off screen ({why})."
        self._drawn.touch()
        return ""

    def _why_not_drawn(self) -> str:
        """'' where a picture can be drawn, else the last thing that was said, or the exit code."""
        command = [str(self.python), "-c", _DRAW]
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=self.variables())
        said = re.sub(r"\x1b\[[0-9;]*m", "", told.stderr).strip().splitlines()
        return (said[-1] if said else f"exit code {told.returncode}") if told.returncode else ""

    def ensure_browser(self) -> str:
        """Chromium, and what drives it, for the page's tests; '' or a sentence on what to do."""
        if self._drives_a_browser():
            return ""
        problem = get_system_packages(BROWSER_PACKAGES, "The page's tests need Chromium")
        if problem or self._drives_a_browser():
            return problem
        return f"Chromium cannot be driven; to see why, run: {self.python} -m playwright --version"

    def _drives_a_browser(self) -> bool:
        driver = [str(self.python), "-m", "playwright", "--version"]
        return (
            any(map(shutil.which, BROWSERS)) and not subprocess.run(driver, capture_output=True, check=False).returncode
        )

    def variables(self) -> dict[str, str]:
        """Variables to run the page with: this checkout first on the path, drawing off screen."""
        path = os.pathsep.join(part for part in (str(self._home), os.environ.get("PYTHONPATH", "")) if part)
        variables = {**os.environ, "PYTHONPATH": path}
        if sys.platform.startswith("linux"):
            variables.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
        return variables


def _packages_folder(python: Path) -> Path:
    """Where an environment keeps its packages."""
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    return Path(subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
