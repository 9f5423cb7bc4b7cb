"""run.py: the environment it makes, the torch it chooses, and what it says when that fails."""

import importlib.util
import json
import types
from pathlib import Path

import pytest


@pytest.fixture
def run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """run.py, working on a copy of what it reads, with every command it would start written down instead."""
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
    with pytest.raises(SystemExit, match=r"sudo apt-get install -y python3\.\d+-venv"):
        run.ensure_venv_module()


def test_as_root_the_apt_line_is_run(run: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get")
    monkeypatch.setattr(run.os, "geteuid", lambda: 0)
    monkeypatch.setattr(run, "call", lambda command, **more: started.append(command) or 0)
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


def test_words_that_are_no_command_show_the_usage(run: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["dance"]) == 2
    assert "python3 run.py demo" in capsys.readouterr().out
    assert run.commands == []


def test_the_continuous_integration_calls_what_the_readme_says(repository: Path) -> None:
    assert "python3 run.py test" in (repository / ".ci" / "run").read_text()
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert "python3 run.py demo" in readme
    assert "python3 run.py test" in readme
