"""One command sets ClamSeg up in its own folder `.venv` and runs it; only Python 3.11 or newer is needed before.

    python3 run.py demo           segment the shipped samples, name the pictures, and end with the page in the browser
    python3 run.py web [FILES]    the page in the browser
    python3 run.py test           lint, types and all tests, those of the page in a real browser too
    python3 run.py shell          set up only, and say how to call clamseg

Options: --cpu takes a torch without CUDA although an NVIDIA GPU is there; --allow-cuda takes the large CUDA build
without a GPU where no other can be reached; demo --no-page ends with the pictures. Other words go on to the demo, the
page or pytest. The set-up is done once; it is repeated when pyproject.toml or the constraints change. The page has an
environment of its own, `.venv-web`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from Packaging.machine import call, get_system_packages, say
from Packaging.page_environment import PageEnvironment

OLDEST = (3, 11)
HOME = Path(__file__).resolve().parent
ENVIRONMENT = HOME / ".venv"
STAMP = ENVIRONMENT / "clamseg-ready.json"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# What the panel's tests need below Qt, as Debian and Ubuntu name it.
DISPLAY_PACKAGES = (
    "libegl1", "libgl1", "libxkbcommon0", "libdbus-1-3", "libfontconfig1", "libglib2.0-0", "fonts-dejavu-core",
)  # fmt: skip
# A PACS for the tests of DICOMweb, and what reads a DICOM SR aloud, as Debian and Ubuntu name them.
DICOM_PACKAGES = ("orthanc", "orthanc-dicomweb", "dcmtk")
PACS_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
EXTRAS = {"demo": ("dicom",), "web": ("dicom",), "shell": ("dicom",), "test": ("all", "test", "panel", "dev", "docs")}
PAGE_TESTS = "Testing/web"
# Of each of the two suites that run side by side.
PROCESSES = str(min(4, os.cpu_count() or 1))


def pip(*words: str) -> int:
    """Runs pip of the own environment."""
    return call([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *words])


def ensure_python() -> None:
    """Goes on with a newer Python where this one is too old: the first in PATH is often the system's old one."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(14, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    came = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(f"ClamSeg needs Python 3.11 or newer, this is {came}; install a newer Python and run again.")


def ensure_venv_module() -> None:
    """Debian ships ensurepip apart; names the one apt line, and as root runs it."""
    if importlib.util.find_spec("ensurepip"):
        return
    problem = get_system_packages(
        (f"python{sys.version_info[0]}.{sys.version_info[1]}-venv",), "Python lacks ensurepip and venv"
    )
    if problem:
        sys.exit(problem)
    # A new process sees the new package for certain.
    os.execv(sys.executable, [sys.executable, *sys.argv])


def nvidia_gpu() -> bool:
    """True where the NVIDIA driver lists a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def cuda_packages(requirement: str) -> list[str]:
    """Names of the CUDA packages that pip would install for `requirement` from the configured index."""
    command = [str(PYTHON), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", requirement]
    report = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HOME)
    if report.returncode:
        return []
    names = [item["metadata"]["name"].lower() for item in json.loads(report.stdout)["install"]]
    return [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))]


def install_torch(options: set[str]) -> None:
    """Installs the pinned torch: with CUDA only where there is an NVIDIA GPU.

    An open `torch` from PyPI pulls gigabytes of CUDA on Linux. Where the index of the CPU builds cannot be reached
    (a hospital's mirror), the configured index is taken instead, but only if it holds a build without CUDA.
    """
    plain = f"torch=={TORCH}"
    constraints = ("-c", str(HOME / "constraints.txt"))
    if platform.system() == "Darwin" or (nvidia_gpu() and "--cpu" not in options):
        failed = pip("install", *constraints, plain)
    else:
        quick = ("--retries", "1", "--timeout", "15")
        failed = pip("install", *quick, *constraints, "--extra-index-url", CPU_INDEX, f"{plain}+cpu")
        if failed:
            say(f"{CPU_INDEX} gave no torch; trying the configured package index.")
            cuda = [] if "--allow-cuda" in options else cuda_packages(plain)
            if cuda:
                sys.exit(
                    f"Without a GPU, the configured index offers torch only with {len(cuda)} CUDA packages (gigabytes). "
                    f"Make {CPU_INDEX} reachable, or run again with --allow-cuda."
                )
            failed = pip("install", *constraints, plain)
    if failed:
        sys.exit(f"torch {TORCH} could not be installed; the lines above say why. Then run this command again.")


def wanted_state(extras: tuple[str, ...]) -> dict[str, object]:
    """What the environment must have been made from to be taken as it is."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((HOME / name).read_bytes())
    return {"hash": digest.hexdigest(), "home": str(HOME), "python": sys.version.split()[0], "extras": list(extras)}


def is_ready(wanted: dict[str, object]) -> bool:
    """True where the environment is complete for `wanted`."""
    try:
        found = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # The test set holds everything the demo needs.
    larger = {**wanted, "extras": list(EXTRAS["test"])}
    return PYTHON.exists() and found in (wanted, larger)


def set_up(extras: tuple[str, ...], options: set[str]) -> None:
    """Makes or completes the environment; leaves a stamp last, so that a broken set-up is repeated."""
    wanted = wanted_state(extras)
    if is_ready(wanted):
        return
    ensure_venv_module()
    import venv

    say(f"Setting up {ENVIRONMENT} (once, some minutes, about 4 GB of disk at most) ...")
    STAMP.unlink(missing_ok=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=not usable()).create(ENVIRONMENT)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"The environment {ENVIRONMENT} could not be made ({error}); remove that folder, check disk and rights, run again."
        )
    install_torch(options)
    if pip("install", "-c", str(HOME / "constraints.txt"), "-e", f"{HOME}[{','.join(extras)}]"):
        sys.exit("The packages could not be installed; the lines above say why. Then run this command again.")
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    say("Set-up complete.")


def display_works() -> bool:
    """True where Qt finds its libraries and a font, and the scene of Slicer loads."""
    ask = (
        "from PySide6 import QtGui, QtWidgets\nimport slicer\napplication = QtWidgets.QApplication([])\n"
        "raise SystemExit(0 if QtGui.QFontDatabase.families() else 1)"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    return not subprocess.run([str(PYTHON), "-c", ask], capture_output=True, check=False, env=environment).returncode


def ensure_display_libraries() -> None:
    """Names the one apt line for the panel's tests, and as root runs it."""
    if display_works():
        return
    problem = get_system_packages(DISPLAY_PACKAGES, "The panel's tests need libraries of the system")
    if problem:
        sys.exit(problem)
    if not display_works():
        sys.exit("Qt or slicer-core still does not start; run: .venv/bin/python -c 'import PySide6.QtWidgets, slicer'")


def ensure_dicom_programs() -> None:
    """Gets Orthanc and dcmtk as root on Debian and Ubuntu; elsewhere says that the tests with them are skipped."""
    if PACS_PLUGIN.exists() and shutil.which("dsrdump"):
        return
    problem = get_system_packages(DICOM_PACKAGES, "The tests with a PACS and a DICOM reader need Orthanc and dcmtk")
    if problem:
        say(f"{problem} Until then these tests are skipped.")


def usable() -> bool:
    """True where an environment of this Python version is there already and its pip runs."""
    ask = "import sys, pip; print(sys.version.split()[0])"
    try:
        told = subprocess.run([str(PYTHON), "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return told.returncode == 0 and told.stdout.strip() == sys.version.split()[0]


def page_environment() -> PageEnvironment:
    """The environment of the page, beside this one."""
    return PageEnvironment(HOME, PYTHON)


def demo(words: list[str]) -> int:
    """Runs the demo, which names its pictures, and then the page; where there can be no page, says why."""
    output = HOME / "clamseg-demo"
    named = [word for word in words if word != "--no-page"]
    failed = call([str(PYTHON), "-m", "ClamSegLib", "demo", "--output", str(output), *named])
    if failed or named != words or {"-h", "--help"} & set(words):
        return failed
    environment = page_environment()
    problem = environment.ensure(("web",))
    if problem:
        say(f"The pictures are written, but there is no page: {problem}")
        return 0
    return serve(environment, [])


def web(words: list[str]) -> int:
    """The page with the files that are named."""
    environment = page_environment()
    problem = environment.ensure(("web",))
    if problem:
        sys.exit(problem)
    return serve(environment, words)


def serve(environment: PageEnvironment, words: list[str]) -> int:
    """Serves the page until Ctrl-C."""
    from ClamSegLib.commands.web import followed

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends this ends the page, in order
    # Names of files are relative to where the user is, not to the checkout.
    return followed([str(environment.python), "-m", "ClamSegWeb", *words], environment.variables())


def test(words: list[str]) -> int:
    """Lint, types and all tests, whatever fails on the way; the failures are named at the end.

    The page's tests run beside the others, because both wait often: for a browser, for a process, for a file. What they
    print comes when they are done. Words choose among the tests of one suite.
    """
    # One thread a process: two test processes that each take all cores slow each other down.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "NO_MKDOCS_2_WARNING": "1"}
    if any(PAGE_TESTS in word for word in words):
        return told(test_page(words, environment, None))
    ensure_display_libraries()
    ensure_dicom_programs()
    with ThreadPoolExecutor(1) as beside, tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        page = beside.submit(test_page, [PAGE_TESTS], environment, said) if not words else None
        failures = test_all_but_page(words, environment)
        if page is not None:
            say("Waiting for the page's tests.")
            failures += page.result()
            said.seek(0)
            shutil.copyfileobj(said, sys.stdout)
    return told(failures)


def test_all_but_page(words: list[str], environment: dict[str, str]) -> list[tuple[str, int]]:
    """Lint, types, documents, and the tests of library and panel: what failed, with its exit code."""
    failures = []
    for step in (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["mkdocs", "build", "--strict", "--quiet"],
        ["pytest", "-q", "-n", PROCESSES, "--dist", "loadfile", *words],
    ):
        say(" ".join(step))
        code = call([str(PYTHON), "-m", *step], env=environment)
        if code:
            failures.append((" ".join(step), code))
    return failures


def test_page(words: list[str], variables: dict[str, str], said: IO[str] | None) -> list[tuple[str, int]]:
    """The page's tests, with its own Python and Chromium: what failed or stood in the way, with its exit code.

    Args:
        words: for pytest.
        variables: of the environment.
        said: takes what pytest prints; None lets it print at once.
    """
    environment = page_environment()
    problem = environment.ensure(("web", "web-test")) or environment.ensure_browser()
    if problem:
        return [(problem, 1)]
    say(f"pytest {PAGE_TESTS}")
    command = [str(environment.python), "-m", "pytest", "-q", "-n", PROCESSES, "--dist", "loadfile", *words]
    code = call(command, env={**variables, **environment.variables()}, stdout=said)
    return [(f"pytest {PAGE_TESTS}", code)] if code else []


def told(failures: list[tuple[str, int]]) -> int:
    """Names the failures, or says that there are none; returns the exit code."""
    for name, code in failures:
        say(f"FAILED ({code}): {name}")
    if not failures:
        say("All checks passed.")
    return failures[0][1] if failures else 0


def shell(_words: list[str]) -> int:
    """Says how to call the command line of the environment."""
    say(f"Call the command line as: {PYTHON} -m ClamSegLib --help")
    return 0


def main(words: list[str]) -> int:
    """Entry point."""
    actions = {"demo": demo, "web": web, "test": test, "shell": shell}
    if not words or words[0] not in actions:
        print(__doc__)
        return 0 if words and words[0] in ("-h", "--help") else 2
    ensure_python()
    options = {"--cpu", "--allow-cuda"} & set(words)
    set_up(EXTRAS[words[0]], options)
    return actions[words[0]]([word for word in words[1:] if word not in options])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
