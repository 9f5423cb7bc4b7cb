"""run.py: the environments it makes, the torch it chooses, the page it ends with, and what it says when that fails."""

import importlib.util
import json
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import IO

import pytest


@pytest.fixture
def run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """run.py, working on a copy of what it reads, with every command it would start written down instead."""
    monkeypatch.syspath_prepend(str(repository))
    spec = importlib.util.spec_from_file_location("clamseg_run", repository / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    environment = tmp_path / ".venv"
    for name, value in {
        "HOME": tmp_path,
        "ENVIRONMENT": environment,
        "STAMP": environment / "clamseg-ready.json",
        "PYTHON": environment / "python",
    }.items():
        monkeypatch.setattr(module, name, value)
    module.commands = []
    module.fails = lambda words: False

    def pip(*words: str) -> int:
        module.commands.append(words)
        return int(module.fails(words))

    monkeypatch.setattr(module, "pip", pip)
    monkeypatch.setattr(module.platform, "system", lambda: "Linux")
    monkeypatch.setattr(module, "nvidia_gpu", lambda: False)
    return module


def asked_for(run: types.ModuleType) -> list[str]:
    return [words[-1] for words in run.commands]


def test_without_a_gpu_torch_comes_from_the_index_of_cpu_builds(run: types.ModuleType) -> None:
    run.install_torch(set())
    assert asked_for(run) == ["torch==2.13.0+cpu"]
    assert run.CPU_INDEX in run.commands[0]


def test_with_a_gpu_torch_comes_from_the_plain_index(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "nvidia_gpu", lambda: True)
    run.install_torch(set())
    assert asked_for(run) == ["torch==2.13.0"]
    run.commands.clear()
    run.install_torch({"--cpu"})
    assert asked_for(run) == ["torch==2.13.0+cpu"]


def test_on_a_mac_torch_comes_from_the_plain_index(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.platform, "system", lambda: "Darwin")
    run.install_torch(set())
    assert asked_for(run) == ["torch==2.13.0"]


def test_a_mirror_with_a_cpu_build_serves_where_the_cpu_index_is_out_of_reach(
    run: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.fails = lambda words: words[-1].endswith("+cpu")
    monkeypatch.setattr(run, "cuda_packages", lambda requirement: [])
    run.install_torch(set())
    assert asked_for(run) == ["torch==2.13.0+cpu", "torch==2.13.0"]


def test_gigabytes_of_cuda_are_never_taken_without_a_word(
    run: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.fails = lambda words: words[-1].endswith("+cpu")
    monkeypatch.setattr(run, "cuda_packages", lambda requirement: ["nvidia-cublas", "triton"])
    with pytest.raises(SystemExit, match="--allow-cuda"):
        run.install_torch(set())
    assert asked_for(run) == ["torch==2.13.0+cpu"]
    run.install_torch({"--allow-cuda"})
    assert asked_for(run)[-1] == "torch==2.13.0"


def test_an_install_that_fails_ends_with_a_sentence(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run.fails = lambda words: True
    monkeypatch.setattr(run, "cuda_packages", lambda requirement: [])
    with pytest.raises(SystemExit, match="could not be installed"):
        run.install_torch(set())


def made(run: types.ModuleType, extras: tuple[str, ...]) -> None:
    run.ENVIRONMENT.mkdir(exist_ok=True)
    run.PYTHON.touch()
    run.STAMP.write_text(json.dumps(run.wanted_state(extras)))


def test_a_complete_environment_is_taken_as_it_is(run: types.ModuleType) -> None:
    made(run, run.EXTRAS["demo"])
    run.set_up(run.EXTRAS["demo"], set())
    assert run.commands == []


def test_the_environment_of_the_tests_serves_the_demo_but_not_the_other_way_round(run: types.ModuleType) -> None:
    made(run, run.EXTRAS["test"])
    assert run.is_ready(run.wanted_state(run.EXTRAS["demo"]))
    made(run, run.EXTRAS["demo"])
    assert not run.is_ready(run.wanted_state(run.EXTRAS["test"]))


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_the_pins_or_dependencies_completes_the_environment_again(run: types.ModuleType, name: str) -> None:
    made(run, run.EXTRAS["test"])
    (run.HOME / name).write_text((run.HOME / name).read_text() + "\n")
    assert not run.is_ready(run.wanted_state(run.EXTRAS["test"]))


def test_a_broken_stamp_or_a_missing_python_counts_as_no_environment(run: types.ModuleType) -> None:
    assert not run.is_ready(run.wanted_state(run.EXTRAS["demo"]))
    made(run, run.EXTRAS["demo"])
    run.PYTHON.unlink()
    assert not run.is_ready(run.wanted_state(run.EXTRAS["demo"]))
    run.PYTHON.touch()
    run.STAMP.write_text("{")
    assert not run.is_ready(run.wanted_state(run.EXTRAS["demo"]))


def test_where_ensurepip_is_missing_the_one_apt_line_is_named(
    run: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match=r"sudo apt-get install -y --no-install-recommends python3\.\d+-venv"):
        run.ensure_venv_module()


def test_as_root_the_apt_line_is_run(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from Packaging import machine

    started: list[list[str]] = []
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get")
    monkeypatch.setattr(run.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "call", lambda command, **more: started.append(command) or 0)
    monkeypatch.setattr(run.os, "execv", lambda path, words: started.append(["again"]))
    run.ensure_venv_module()
    assert started[0][:3] == ["apt-get", "install", "-y"]
    assert started[-1] == ["again"]


def test_an_old_python_is_named_with_what_is_needed(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"3\.11 or newer, this is 3\.8"):
        run.ensure_python()


def test_a_newer_python_in_the_path_takes_over_from_an_old_one(
    run: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(run.sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None)

    def replace(path: str, words: list[str]) -> None:
        started.append(path)
        raise SystemExit(0)

    monkeypatch.setattr(run.os, "execv", replace)
    with pytest.raises(SystemExit):
        run.ensure_python()
    assert started == ["/usr/bin/python3.12"]


# -- the page's environment and the commands that end with the page ------------------------------------------------


class FakePage:
    """A page environment in the test's hand."""

    def __init__(self, problem: str = "") -> None:
        self.problem, self.asked, self.browser_problem = problem, [], ""
        self.python = Path("page-python")

    def ensure(self, extras: tuple[str, ...]) -> str:
        self.asked.append(extras)
        return self.problem

    def ensure_browser(self) -> str:
        return self.browser_problem

    def variables(self) -> dict[str, str]:
        return {}


@pytest.fixture
def started(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Programs that run.py would start, without their Python; the environment counts as complete."""
    words: list[list[str]] = []
    monkeypatch.setattr(run, "set_up", lambda extras, options: None)
    monkeypatch.setattr(run, "ensure_display_libraries", lambda: None)
    monkeypatch.setattr(run, "ensure_dicom_programs", lambda: None)
    monkeypatch.setattr(run, "call", lambda command, **more: words.append(command[1:]) or 0)
    monkeypatch.setattr("ClamSegLib.commands.web.followed", lambda command, environment: words.append(command[1:]) or 0)
    return words


def with_page(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch, problem: str = "") -> FakePage:
    page = FakePage(problem)
    monkeypatch.setattr(run, "page_environment", lambda: page)
    return page


def test_the_demo_ends_with_the_page(
    run: types.ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_page(run, monkeypatch)
    assert run.main(["demo", "--device", "cpu"]) == 0
    demo = ["-m", "ClamSegLib", "demo", "--output", str(run.HOME / "clamseg-demo"), "--device", "cpu"]
    assert started == [demo, ["-m", "ClamSegWeb"]]
    assert page.asked == [("web",)]


def test_the_demo_ends_with_the_pictures_where_no_page_is_wanted(
    run: types.ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_page(run, monkeypatch)
    assert run.main(["demo", "--no-page"]) == 0
    assert [words[2] for words in started] == ["demo"]
    assert "--no-page" not in started[0]
    assert page.asked == []


def test_without_the_packages_of_the_page_the_demo_writes_its_pictures_and_says_why(
    run: types.ModuleType,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_page(run, monkeypatch, "The packages of the page could not be installed.")
    assert run.main(["demo"]) == 0
    assert [words[2] for words in started] == ["demo"]
    assert "The pictures are written, but there is no page: The packages of the page" in capsys.readouterr().out


def test_a_demo_that_fails_opens_no_page(
    run: types.ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_page(run, monkeypatch)
    monkeypatch.setattr(run, "call", lambda command, **more: 1)
    assert run.main(["demo"]) == 1
    assert started == []


def test_web_passes_files_and_options_on_to_the_page(
    run: types.ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_page(run, monkeypatch)
    assert run.main(["web", "scan.nrrd", "--port", "8125"]) == 0
    assert started == [["-m", "ClamSegWeb", "scan.nrrd", "--port", "8125"]]
    with_page(run, monkeypatch, "The page draws with libraries of the system; run 'sudo apt-get install'")
    with pytest.raises(SystemExit, match="sudo apt-get"):
        run.main(["web"])


def test_the_tests_end_with_those_of_the_page_and_words_choose_one_suite(
    run: types.ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_page(run, monkeypatch)
    assert run.main(["test"]) == 0
    assert [words[1] for words in started if words[-1] != "Testing/web"] == ["ruff", "ruff", "mypy", "mkdocs", "pytest"]
    assert [words[1] for words in started if words[-1] == "Testing/web"] == ["pytest"]
    assert page.asked == [("web", "web-test")]
    started.clear()
    assert run.main(["test", "-k", "geometry"]) == 0
    assert [words[1] for words in started] == ["ruff", "ruff", "mypy", "mkdocs", "pytest"]
    started.clear()
    assert run.main(["test", "Testing/web/test_roots.py"]) == 0
    assert [words[-1] for words in started] == ["Testing/web/test_roots.py"]


def test_the_page_is_tested_beside_the_others_and_what_its_tests_print_comes_in_one_piece(
    run: types.ModuleType,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_page(run, monkeypatch)
    page_runs, library_runs = threading.Event(), threading.Event()

    def call(command: list[str], stdout: IO[str] | None = None, **more: object) -> int:
        if command[-1] == "Testing/web":
            page_runs.set()
            assert library_runs.wait(60)
            print("12 passed on the page", file=stdout)
        elif command[2] == "pytest":
            library_runs.set()
            assert page_runs.wait(60)
            print("99 passed in the library")
        return 0

    monkeypatch.setattr(run, "call", call)
    assert run.main(["test"]) == 0
    said = capsys.readouterr().out
    assert said.index("99 passed in the library") < said.index("12 passed on the page") < said.index("All checks")


def test_a_test_run_without_chromium_ends_with_what_to_do(
    run: types.ModuleType,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_page(run, monkeypatch).browser_problem = "The page's tests need Chromium; run 'sudo apt-get'"
    assert run.main(["test"]) == 1
    assert "need Chromium; run 'sudo apt-get'" in capsys.readouterr().out.splitlines()[-1]


def test_after_a_failed_step_the_others_run_all_the_same_and_every_failure_is_named_last(
    run: types.ModuleType,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_page(run, monkeypatch)

    def call(command: list[str], **more: object) -> int:
        started.append(command[1:])
        return {"mypy": 2, "pytest": 1}.get(command[2], 0)

    monkeypatch.setattr(run, "call", call)
    assert run.main(["test"]) == 2
    assert sorted(words[1] for words in started) == ["mkdocs", "mypy", "pytest", "pytest", "ruff", "ruff"]
    said = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert [line.partition("FAILED ")[2].split(" -")[0] for line in said] == [
        "(2): mypy",
        "(1): pytest",
        "(1): pytest Testing/web",
    ]


def test_tests_that_need_ctrl_c_pass_in_a_background_job_which_ignores_it(repository: Path) -> None:
    name = "test_a_cancel_that_an_import_turns_into_another_error_is_a_cancel_all_the_same"
    file = "Testing/library/commands/test_bad_input.py"
    ask = (
        "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.exit(pytest.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", ask, "-q", "-p", "no:cacheprovider", f"{file}::{name}"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=200)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


@pytest.fixture
def page_home(run: types.ModuleType, repository: Path) -> Path:
    """A checkout with what the page's environment is made from."""
    (run.HOME / "constraints-web.txt").write_bytes((repository / "constraints-web.txt").read_bytes())
    return Path(run.HOME)


def made_page(run: types.ModuleType, home: Path, extras: tuple[str, ...]) -> object:
    page = run.PageEnvironment(home, home / ".venv" / "python")
    page.python.parent.mkdir(parents=True, exist_ok=True)
    page.python.touch()
    (page.folder / "clamseg-ready.json").write_text(json.dumps(page.wanted_state(extras)))
    return page


def test_the_pages_environment_is_taken_as_it_is_until_its_pins_change(
    run: types.ModuleType, page_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = made_page(run, page_home, ("web", "web-test"))
    assert page.is_ready(("web",))
    assert page.is_ready(("web", "web-test"))
    assert not made_page(run, page_home, ("web",)).is_ready(("web", "web-test"))
    (page_home / "constraints-web.txt").write_text("trame==0\n")
    assert not page.is_ready(("web",))
    (page.folder / "clamseg-ready.json").write_text("[")
    assert not page.is_ready(("web",))


def test_packages_of_the_page_that_cannot_be_had_are_told_and_tried_again_the_next_time(
    run: types.ModuleType, page_home: Path
) -> None:
    """The Python that should install them has no pip that reaches an index: a file that is no program."""
    page = run.PageEnvironment(page_home, page_home / "no-python")
    (page_home / "no-python").write_text("#!/bin/sh\nexit 1\n")
    (page_home / "no-python").chmod(0o755)
    assert "could not be installed" in page.ensure(("web",))
    assert not page.is_ready(("web",))


def test_libraries_for_drawing_are_named_in_one_line_or_installed_as_root(
    run: types.ModuleType, page_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Packaging import machine

    page = made_page(run, page_home, ("web",))
    said = iter(["libEGL.so.1: cannot open", "libEGL.so.1: cannot open", ""])
    monkeypatch.setattr(run.PageEnvironment, "_why_not_drawn", lambda self: next(said))
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get")
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    assert "sudo apt-get install -y --no-install-recommends libegl1" in page.ensure(("web",))
    installed: list[list[str]] = []
    monkeypatch.setattr(run.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "call", lambda command, **more: installed.append(command) or 0)
    assert page.ensure(("web",)) == ""
    assert "libegl1" in installed[0]
    assert page.ensure(("web",)) == "", "what was drawn once is not drawn again at every start"


def test_chromium_and_what_drives_it_are_named_in_one_line_or_installed_as_root(
    run: types.ModuleType, page_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Packaging import machine

    page = made_page(run, page_home, ("web", "web-test"))
    drives = iter([False, False, True, True])
    monkeypatch.setattr(run.PageEnvironment, "_drives_a_browser", lambda self: next(drives))
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get")
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    assert "sudo apt-get install -y --no-install-recommends chromium" in page.ensure_browser()
    installed: list[list[str]] = []
    monkeypatch.setattr(run.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "call", lambda command, **more: installed.append(command) or 0)
    assert page.ensure_browser() == ""
    assert "chromium" in installed[0]
    assert page.ensure_browser() == ""
    assert len(installed) == 1


# -- words ---------------------------------------------------------------------------------------------------------


def test_words_that_are_no_command_show_the_usage(run: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["dance"]) == 2
    assert "python3 run.py demo" in capsys.readouterr().out
    assert run.commands == []


def test_the_continuous_integration_calls_what_the_readme_says(repository: Path) -> None:
    assert "python3 run.py test" in (repository / ".ci" / "run").read_text()
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert "python3 run.py demo" in readme
    assert "python3 run.py test" in readme
