"""What a contributor relies on: commands that exist, placeholders that are named, versions that agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ClamSegLib

yaml = pytest.importorskip("yaml")


def tracked(repository: Path) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=repository, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [repository / name for name in listed.stdout.splitlines() if (repository / name).is_file()]


def test_the_workflow_runs_the_two_commands_of_the_readme_on_three_systems(repository: Path) -> None:
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["readme"]
    assert {name.split("-")[0] for name in job["strategy"]["matrix"]["system"]} == {"ubuntu", "macos", "windows"}
    run = [step["run"] for step in job["steps"] if "run" in step]
    assert run == ["python run.py demo --no-page", "python run.py test"]
    promised = (repository / "README.md").read_text(encoding="utf-8")
    for command in run:
        assert f"python3 {' '.join(command.split()[1:3])}" in promised
    assert "written, not run" in (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_placeholder_is_named_in_contributing(repository: Path) -> None:
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in tracked(repository):
        if path.suffix in {".png", ".jpg", ".gz", ".nrrd", ".safetensors"} or "Testing" in path.parts:
            continue
        for found in re.findall(
            r"PLACEHOLDER[-\w]*|<this repository>", path.read_text(encoding="utf-8", errors="replace")
        ):
            assert found in text, f"{path.name}: {found}"
            if path.name not in ("CMakeLists.txt", "CONTRIBUTING.md"):
                assert path.name in text, path


def test_the_citation_names_this_version(repository: Path) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == ClamSegLib.__version__
    assert citation["authors"] == [{"name": "The ClamSeg authors"}]
    changes = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {citation['version']}, {citation['date-released']}" in changes


def test_files_pass_the_end_of_file_check_that_runs_before_a_commit(repository: Path) -> None:
    (local,) = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    hooks = {hook["id"]: hook for hook in local["hooks"]}
    assert set(hooks) == {"ruff-format", "ruff", "lists", "end-of-file"}
    rule = re.compile(hooks["end-of-file"]["entry"].encode(), re.MULTILINE | re.DOTALL)
    left_out = re.compile(hooks["end-of-file"]["exclude"])
    for path in tracked(repository):
        name, content = path.relative_to(repository).as_posix(), path.read_bytes()
        if b"\0" not in content and not left_out.search(name):
            assert not rule.search(content), f"{name} does not end with one line break"


def test_files_and_folders_that_contributing_names_are_there(repository: Path) -> None:
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.]+/)+[\w.]+)`", text))
    assert len(named) > 8
    written_anew = {name for name in named if re.search(r"NAME|VERB", name)}
    assert {name for name in named - written_anew if not (repository / name).exists()} == set()
    assert {name for name in re.findall(r"`(\w+\.py)`", text) if not list(repository.rglob(name))} == set()


def test_the_site_of_the_documents_fetches_nothing_from_outside(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings_handlers.python")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(build, cwd=repository, env=variables, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*src=\"(https?:[^\"]*)|<link[^>]*href=\"(https?:[^\"]*)", text)
        assert loaded == [], page.name
    front_door = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "the probability of a lesion" in front_door, "the docstrings stand in the page"
