"""What Slicer builds and installs of the extension: lists and files agree, and the installed folder works."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = Path("lib") / "Slicer-5.12" / "qt-scripted-modules"
WRITE = "run: python Packaging/write_lists.py"
CARRIED = (".py", ".ui", ".png", ".svg", ".json", ".safetensors", ".nrrd", ".nii.gz", ".md", ".xml", ".bin")
OURS = {"ClamSegLib", "ClamSegWorkflow", "ClamSegPanel"}


def cmake_list(path: Path, name: str) -> list[str]:
    """Words of `set(name ...)`."""
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    (body,) = re.findall(rf"\bset\({name}\b(.*?)\)", text, re.S)
    return [str(word) for word in body.split()]


def listed(repository: Path) -> dict[str, str]:
    """Every file that CMake installs: where it lies in the checkout, to where it comes below the modules' folder."""
    module, library = repository / "ClamSeg" / "CMakeLists.txt", repository / "ClamSegLib" / "CMakeLists.txt"
    found = {
        f"ClamSeg/{name}": name
        for variable in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")
        for name in cmake_list(module, variable)
    }
    found |= {f"ClamSegLib/{name}": f"ClamSegLib/{name}" for name in cmake_list(library, "LIBRARY_PYTHON_SCRIPTS")}
    shared = cmake_list(library, "SHARED_RESOURCES")
    return found | {f"Resources/{name}": f"ClamSegLib/Resources/{name}" for name in shared}


def tracked(repository: Path) -> set[str]:
    """Files of git, those not yet added included."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "ClamSeg", "ClamSegLib", "Resources"]
    told = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip("not a git checkout")
    return {name for name in told.stdout.splitlines() if (repository / name).is_file()}


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules' folder of an installed extension, filled with what the lists name and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / MODULES
    for source, target in listed(repository).items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / source, folder / target)
    return folder


# -- lists and files -----------------------------------------------------------------------------------------------


def test_every_file_that_belongs_into_the_extension_is_listed_and_every_listed_file_is_there(repository: Path) -> None:
    names = set(listed(repository))
    for_developers = "ClamSegLib/experiments/"
    assert not [name for name in names if name.startswith(for_developers)], "studies are not installed in Slicer"
    present = {n for n in tracked(repository) if n.endswith(CARRIED) and not n.startswith(for_developers)}
    assert present - names == set(), f"not listed, so missing once installed; {WRITE}"
    assert {name for name in names if not (repository / name).is_file()} == set(), f"listed but gone; {WRITE}"
    assert names - present == set(), f"listed but not in git; {WRITE}"


def test_the_lists_are_as_the_script_writes_them(repository: Path) -> None:
    script = [sys.executable, str(repository / "Packaging" / "write_lists.py"), "--check"]
    told = subprocess.run(script, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"{told.stdout}{WRITE}"


def test_the_script_finds_a_new_a_renamed_and_a_removed_file(repository: Path, tmp_path: Path) -> None:
    for name in ("Packaging", "ClamSeg", "ClamSegLib", "Resources/Terminology"):
        shutil.copytree(repository / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CMakeLists.txt", "ClamSeg.json"):
        shutil.copy(repository / name, tmp_path / name)
    script = [sys.executable, str(tmp_path / "Packaging" / "write_lists.py")]
    subprocess.run(script, check=True, capture_output=True)
    assert subprocess.run([*script, "--check"], check=False, capture_output=True).returncode == 0
    (tmp_path / "ClamSeg" / "ClamSegWorkflow" / "case" / "new_step.py").write_text("")
    (tmp_path / "ClamSeg" / "ClamSegWorkflow" / "case" / "run_state.py").rename(
        tmp_path / "ClamSeg" / "ClamSegWorkflow" / "case" / "task.py"
    )
    (tmp_path / "ClamSegLib" / "model" / "twin.py").unlink()
    (tmp_path / "ClamSeg" / "ClamSegWorkflow" / "case" / "__pycache__").mkdir()
    (tmp_path / "ClamSeg" / "ClamSegWorkflow" / "case" / "__pycache__" / "run_state.py").write_text("")
    assert subprocess.run([*script, "--check"], check=False, capture_output=True).returncode == 1
    subprocess.run(script, check=True, capture_output=True)
    names = set(listed(tmp_path))
    before = {name for name in listed(repository) if not name.startswith("Resources/")}
    assert names - before - {"Resources/Terminology/ClamSeg.term.json"} == {
        "ClamSeg/ClamSegWorkflow/case/new_step.py",
        "ClamSeg/ClamSegWorkflow/case/task.py",
    }
    assert before - names == {"ClamSeg/ClamSegWorkflow/case/run_state.py", "ClamSegLib/model/twin.py"}


# -- the installed folder ------------------------------------------------------------------------------------------


def test_an_installed_extension_segments_a_shipped_sample_and_has_no_verbs_for_developers(
    installed: Path, tmp_path: Path
) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("CLAMSEG_")}
    variables = {**known, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}

    def clamseg(*words: str) -> str:
        command = [sys.executable, "-m", "ClamSegLib", *words]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    verbs = clamseg("--help")
    assert "segment" in verbs
    assert "study" not in verbs
    assert "benchmark" not in verbs
    sample = installed / "ClamSegLib" / "Resources" / "Samples" / "xray_chest.png"
    clamseg("segment", str(sample), "--model", "xray-lungs", "--output", str(tmp_path / "out"), "--device", "cpu")
    (report,) = (tmp_path / "out").rglob("report.json")
    assert json.loads(report.read_text(encoding="utf-8"))["model"]["name"] == "xray-lungs"


def test_every_import_of_one_of_our_files_finds_that_file_in_an_installed_extension(installed: Path) -> None:
    """Checked in the text, because Qt and Slicer's widgets are not here: what is not listed would not be found."""
    missing = []
    for path in installed.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
                names = [node.module]
                # `from package import module` needs the module's file too
                if (installed / node.module.replace(".", "/")).is_dir():
                    package = installed / node.module.replace(".", "/") / "__init__.py"
                    defined = package.read_text(encoding="utf-8") if package.is_file() else ""
                    names += [f"{node.module}.{a.name}" for a in node.names if a.name not in defined]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.split(".")[0] in OURS]
            else:
                continue
            for name in names:
                place = installed / name.replace(".", "/")
                if not (place.is_dir() or place.with_suffix(".py").is_file()):
                    missing.append(f"{path.name} imports {name}")
    assert missing == []


def test_files_without_qt_import_in_an_installed_extension(installed: Path) -> None:
    pytest.importorskip("slicer")
    names = [
        ".".join(path.relative_to(installed).with_suffix("").parts)
        for folder in ("ClamSegWorkflow", "ClamSegPanel")
        for path in sorted((installed / folder).rglob("*.py"))
        if not needs_qt(path)
    ]
    assert len(names) > 12
    code = f"import importlib, sys; sys.path.insert(0, {str(installed)!r}); "
    code += f"found = [importlib.import_module(n).__file__ for n in {names!r}]; "
    code += f"assert all(f.startswith({str(installed)!r}) for f in found), found; assert 'torch' not in sys.modules"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def needs_qt(path: Path) -> bool:
    """Whether a file needs the application's Qt side, itself or through another of ours."""
    text = path.read_text(encoding="utf-8")
    if re.search(r"^\s*(import (qt|ctk)\b|from slicer\.|import slicer\.)", text, re.M):
        return True
    for name in re.findall(r"^from (ClamSeg\w+\.\w+) import", text, re.M):
        other = path.parent.parent / (name.replace(".", "/") + ".py")
        if name.split(".")[0] != "ClamSegLib" and other.is_file() and needs_qt(other):
            return True
    return False


# -- CMake ---------------------------------------------------------------------------------------------------------

# The part of Slicer's package that an extension of Python files meets: the macro copies what it is given into the
# build's module folder and installs that folder; with WITH_SUBDIR a folder of the source's name in it.
FAKE_SLICER = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseFakeSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Metadata.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
"""
FAKE_MACROS = """
include(CTest)
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT MY_NAME OR NOT MY_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: ${ARGN}")
  endif()
  set(_to "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(_what "${_to}/")
  if(MY_WITH_SUBDIR)
    get_filename_component(_folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(_to "${_to}/${_folder}")
    set(_what "${_to}")
  endif()
  foreach(_file IN LISTS MY_SCRIPTS MY_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
      message(FATAL_ERROR "nonexistent file ${_file}")
    endif()
    configure_file("${CMAKE_CURRENT_SOURCE_DIR}/${_file}" "${_to}/${_file}" COPYONLY)
  endforeach()
  install(DIRECTORY "${_what}" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" COMPONENT RuntimeLibraries)
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest: ${ARGN}")
  endif()
  get_filename_component(_name ${MY_SCRIPT} NAME_WE)
  add_test(NAME py_${_name} COMMAND ${CMAKE_COMMAND} -E true)
endmacro()
"""
FAKE_METADATA = """
foreach(_name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${_name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${_name} is empty")
  endif()
endforeach()
"""


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension configured, built and installed by CMake with a package that stands for Slicer's."""
    if not shutil.which("cmake") or not (shutil.which("ninja") or shutil.which("make")):
        pytest.skip("cmake is not on this machine")
    folder = tmp_path_factory.mktemp("built")
    fake = folder / "slicer"
    fake.mkdir()
    texts = {
        "SlicerConfig.cmake": FAKE_SLICER,
        "UseFakeSlicer.cmake": FAKE_MACROS,
        "Metadata.cmake": FAKE_METADATA,
        "Nothing.cmake": "",
    }
    for name, text in texts.items():
        (fake / name).write_text(text)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = ["cmake", *generator, "-S", str(repository), "-B", str(folder / "build"), f"-DSlicer_DIR={fake}"]
    # Slicer's package asks for compilers; Python files need none, and this machine may have none.
    configure += ["-DCMAKE_C_COMPILER=", "-DCMAKE_CXX_COMPILER="] if not shutil.which("cc") else []
    install = ["cmake", "--install", str(folder / "build"), "--prefix", str(folder / "out")]
    for command in (configure, ["cmake", "--build", str(folder / "build")], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "No CMAKE_C" in done.stderr or "not a full path to an existing compiler" in done.stderr:
            pytest.skip("cmake finds no compiler, which project() asks for")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_cmake_installs_exactly_the_listed_files_in_place(built: Path, installed: Path) -> None:
    def below(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert below(built / "out" / MODULES) == {name for name in below(installed) if "__pycache__" not in name}
    for name in ("ClamSegLib/Resources/Models/xray-lungs/weights.safetensors", "Resources/Icons/ClamSeg.png"):
        assert (built / "out" / MODULES / name).read_bytes() == (installed / name).read_bytes()


def test_ctest_knows_the_test_of_the_module_and_the_self_test(built: Path) -> None:
    told = subprocess.run(["ctest", "-N"], cwd=built / "build", capture_output=True, text=True, check=True)
    assert set(re.findall(r"py_\w+", told.stdout)) == {"py_ClamSeg", "py_ClamSegSelfTest"}


# -- the entry in Slicer's index -----------------------------------------------------------------------------------


def test_the_index_entry_holds_what_its_schema_asks_for(repository: Path) -> None:
    text = (repository / "ClamSeg.json").read_bytes()
    assert b"\r" not in text
    entry = json.loads(text)
    assert re.fullmatch(
        r"https://raw\.githubusercontent\.com/Slicer/Slicer/main/Schemas/.*v1\.0\.\d\.json#", entry["$schema"]
    )
    # slicer-extension-catalog-entry-schema-v1.0.1 allows no other names
    allowed = {"$schema", "build_dependencies", "build_subdirectory", "category", "enabled", "scm_revision", "scm_type", "scm_url", "tier"}  # fmt: skip
    assert set(entry) <= allowed
    assert entry["category"] == "Segmentation"
    assert re.fullmatch(r"https://[^/]+/[^/]+/SlicerClamSeg", entry["scm_url"])
    assert 1 <= entry["tier"] <= 5
    top = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    depends = re.findall(r'set\(EXTENSION_DEPENDS "([^"]*)"\)', top)
    assert depends == [" ".join(entry["build_dependencies"])]
    assert "project(ClamSeg)" in top


def test_the_address_of_the_repository_stands_in_one_place_and_all_others_follow_it(repository: Path) -> None:
    """The catalogue reads the addresses literally, so they cannot be put together by CMake."""
    entry = json.loads((repository / "ClamSeg.json").read_text(encoding="utf-8"))
    owner = entry["scm_url"].split("/")[3]
    told = subprocess.run(
        ["git", "grep", "-l", "-F", owner], cwd=repository, capture_output=True, text=True, check=False
    )
    if told.returncode == 128:
        pytest.skip("not a git checkout")
    assert set(told.stdout.split()) <= {"ClamSeg.json", "CMakeLists.txt", "CITATION.cff", "CONTRIBUTING.md"}
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    assert f"repository-code: {entry['scm_url'].removesuffix('.git')}\n" in citation
    top = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'set\((EXTENSION_\w+) "([^"]*)"\)', top))
    assert values["EXTENSION_HOMEPAGE"] == entry["scm_url"]
    raw = f"https://raw.githubusercontent.com/{owner}/SlicerClamSeg/{entry['scm_revision']}/"
    pictures = [values["EXTENSION_ICONURL"], *values["EXTENSION_SCREENSHOTURLS"].split()]
    assert len(pictures) >= 2
    for address in pictures:
        assert address.startswith(raw)
        assert (repository / address.removeprefix(raw)).is_file(), address


def test_the_icon_is_a_png_of_128_by_128_in_both_places(repository: Path) -> None:
    data = (repository / "ClamSeg.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (128, 128)
    assert (repository / "ClamSeg" / "Resources" / "Icons" / "ClamSeg.png").read_bytes() == data


def test_the_description_says_what_it_is_for_in_a_line_and_what_it_is_not(repository: Path) -> None:
    top = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    (description,) = re.findall(r'set\(EXTENSION_DESCRIPTION "([^"]*)"\)', top)
    assert len(description) < 300
    assert "not for diagnosis" in description
    assert (repository / "LICENSE").is_file()


# -- what loading a module may do ----------------------------------------------------------------------------------


def extension_files(repository: Path) -> list[Path]:
    return sorted((repository / "ClamSeg").rglob("*.py"))


def test_nothing_is_installed_when_a_file_is_loaded_a_class_made_or_the_window_set_up(repository: Path) -> None:
    install = re.compile(r"pip_install|pip_ensure|PyTorchUtils|\bpip\b|ensurepip")
    for path in extension_files(repository):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        early: list[ast.stmt] = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        early += [node for node in functions if node.name in ("__init__", "setup", "enter")]
        for node in early:
            called = [ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)]
            assert not [name for name in called if install.search(name)], f"{path.name}:{node.lineno}"
