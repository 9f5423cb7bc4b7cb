"""The package as it is installed and as it is built: what it imports, carries, and promises."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tiny_model import tiny_model

HEAVY = (
    "torch",
    "SimpleITK",
    "scipy",
    "matplotlib",
    "monai",
    "segmentation_models_pytorch",
    "torchvision",
    "pydicom",
    "highdicom",
    "onnx",
    "openvino",
    "MNN",
    "optuna",
)


def sources(repository: Path) -> list[Path]:
    return sorted((repository / "ClamSegLib").rglob("*.py"))


def module_name(repository: Path, path: Path) -> str:
    return ".".join(path.relative_to(repository).with_suffix("").parts)


def imported(tree: ast.AST) -> set[str]:
    """Every module named in an import statement, wherever it stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


# -- the house ---------------------------------------------------------------------------------------------


def test_the_tests_of_a_room_lie_in_a_room_of_the_same_name(repository: Path) -> None:
    tested = {path.parent.name for path in (repository / "Testing" / "library").glob("*/test_*.py")}
    assert tested == set(rooms(repository))


def rooms(repository: Path) -> dict[str, set[str]]:
    """Room to the rooms it may import, as the table of docs/explanation.md has it."""
    text = (repository / "docs" / "explanation.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)/` \|[^|]*\| ([^|]*) \|$", text, re.M)
    names = [name for name, _ in table]
    allowed = {}
    for name, words in table:
        if words.startswith("every room"):
            allowed[name] = set(names) - {word.strip() for word in words.removeprefix("every room but").split(",")}
        else:
            allowed[name] = set() if words.startswith("nothing") else {word.strip() for word in words.split(",")}
        allowed[name] -= {name}
        assert allowed[name] <= set(names), f"{name}: {sorted(allowed[name] - set(names))} is no room"
    return allowed


def room_of(module: str) -> str | None:
    """The room of a module; None for what lies at the top."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else None


def test_every_room_has_a_line_in_the_table_and_every_line_a_room(repository: Path) -> None:
    folders = {path.parent.name for path in (repository / "ClamSegLib").glob("*/__init__.py")}
    assert folders == set(rooms(repository))


def test_a_room_imports_only_what_its_line_names_and_no_file_runs_in_a_circle(repository: Path) -> None:
    allowed = rooms(repository)
    names = {module_name(repository, path).removesuffix(".__init__"): path for path in sources(repository)}
    graph: dict[str, set[str]] = {}
    crooked = []
    for name, path in names.items():
        used = imported(ast.parse(path.read_text(encoding="utf-8"))) & set(names)
        # A package is named on the way to its files; only the files count.
        graph[name] = {other for other in used - {name, "ClamSegLib"} if names[other].name != "__init__.py"}
        for other in graph[name]:
            here, there = room_of(name), room_of(other)
            if here and there and there != here and there not in allowed[here]:
                crooked.append(f"{name} imports {other}")
            if here and other == "ClamSegLib.cli":
                crooked.append(f"{name} imports the command line")
    assert crooked == []
    done: set[str] = set()
    while len(done) < len(graph):
        free = {name for name, used in graph.items() if name not in done and used & set(graph) <= done}
        assert free, f"a circle of imports among {sorted(set(graph) - done)}"
        done |= free


def test_the_rooms_themselves_stand_in_no_circle(repository: Path) -> None:
    allowed = rooms(repository)
    done: set[str] = set()
    while len(done) < len(allowed):
        free = {name for name, used in allowed.items() if name not in done and used <= done}
        assert free, f"the table draws a circle among {sorted(set(allowed) - done)}"
        done |= free


def test_the_library_knows_neither_slicer_nor_qt_nor_torchvision(repository: Path) -> None:
    foreign = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "torchvision", "PythonQt", "ClamSeg"}
    for path in sources(repository):
        used = {name.split(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
        assert not used & foreign, path


def test_nothing_is_pickled_or_executed(repository: Path) -> None:
    for path in sources(repository):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {name.split(".")[0] for name in imported(tree)}
        assert not used & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "runpy"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec", "torch.save"}, f"{path}:{node.lineno}"
                unsafe = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
                if called in unsafe and called == "torch.load":
                    assert unsafe[called] in ast.unparse(node), f"{path}:{node.lineno}"
                assert "allow_pickle=True" not in ast.unparse(node), f"{path}:{node.lineno}"


def test_the_library_prints_nothing_outside_the_command_line(repository: Path) -> None:
    for path in sources(repository):
        if "commands" in path.parts or path.stem in ("cli", "progress", "worker"):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not [n.lineno for n in calls if ast.unparse(n.func) == "print"], path


def test_no_file_of_the_library_is_long_enough_to_hold_two_steps(repository: Path) -> None:
    long = {str(path): n for path in sources(repository) if (n := len(path.read_text("utf-8").splitlines())) > 350}
    assert long == {}


def test_no_tracked_text_names_the_folders_of_one_machine(repository: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Written apart so that this file does not name them itself.
    traces = re.compile("|".join(("/wor" + "k/", "/roo" + "t/", "/tmp/" + "bash_jobs", "/hom" + r"e/\w+")))
    for name in listed.stdout.splitlines():
        path = repository / name
        if path.suffix in {".png", ".gz", ".nrrd", ".safetensors", ".ico"} or not path.is_file():
            continue
        assert not traces.search(path.read_text(encoding="utf-8", errors="replace")), name


# -- imports at run time -----------------------------------------------------------------------------------


def test_importing_the_package_the_command_line_and_the_verbs_loads_nothing_heavy(repository: Path) -> None:
    verbs = [
        module_name(repository, path)
        for path in sources(repository)
        if "commands" in path.parts or path.stem.endswith("_verb")
    ]
    modules = ["ClamSegLib", "ClamSegLib.cli", *verbs]
    code = f"import sys, importlib; [importlib.import_module(m) for m in {modules!r}]; "
    code += f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# -- the wheel and the extension ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed_wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout with the wheel unpacked as pip does it."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("ClamSeg", "ClamSegLib", "ClamSegWeb", "Resources"):
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("clamseg-*.whl")
    target = folder / "site"
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    shutil.rmtree(source)
    return target


def call(library: Path, words: list[object], cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if not name.startswith("CLAMSEG_RES")}
    variables = {**known, "PYTHONPATH": str(library), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "ClamSegLib", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def test_an_installed_copy_outside_the_checkout_segments_its_own_sample(installed_wheel: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny", "XR")
    sample = installed_wheel / "ClamSegLib" / "Resources" / "Samples" / "xray_chest.png"
    assert sample.is_file()
    assert (installed_wheel / "ClamSegLib" / "py.typed").is_file()
    code = "import ClamSegLib, ClamSegLib.system.paths as r; print(ClamSegLib.__file__, r.resources_folder())"
    environment = {**os.environ, "PYTHONPATH": str(installed_wheel)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [
        str(installed_wheel / "ClamSegLib" / "__init__.py"),
        str(installed_wheel / "ClamSegLib" / "Resources"),
    ]
    done = call(installed_wheel, ["segment", sample, "--model", model, "--output", tmp_path / "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("segmentation.seg.nrrd"))) == 1


def test_an_installed_copy_carries_every_resource_of_the_checkout(installed_wheel: Path, repository: Path) -> None:
    carried = installed_wheel / "ClamSegLib" / "Resources"
    names = {str(p.relative_to(repository / "Resources")) for p in (repository / "Resources").rglob("*") if p.is_file()}
    assert {str(p.relative_to(carried)) for p in carried.rglob("*") if p.is_file()} == names


def test_the_wheel_has_the_verbs_for_developers(installed_wheel: Path, tmp_path: Path) -> None:
    told = call(installed_wheel, ["--help"], tmp_path)
    assert told.returncode == 0, told.stderr
    assert "study" in told.stdout
    assert "benchmark" in told.stdout


def test_an_installed_copy_lists_the_shipped_models(installed_wheel: Path, repository: Path, tmp_path: Path) -> None:
    listed = call(installed_wheel, ["models", "--json"], tmp_path, CLAMSEG_MODELS=str(tmp_path / "none"))
    assert listed.returncode == 0, listed.stderr
    shipped = {path.parent.name for path in (repository / "Resources").glob("*/*/config.json")}
    assert {entry["name"] for entry in json.loads(listed.stdout)["models"]} == shipped


def test_a_wheel_carries_the_page_with_the_rooms_it_shares_and_nothing_of_slicers_window(
    installed_wheel: Path, repository: Path
) -> None:
    shared = repository / "ClamSeg" / "ClamSegWorkflow"
    names = {str(path.relative_to(shared)) for path in shared.rglob("*.py")}
    carried = installed_wheel / "ClamSegWorkflow"
    assert {str(path.relative_to(carried)) for path in carried.rglob("*.py")} == names
    page = [path for path in (repository / "ClamSegWeb").rglob("*") if path.suffix in (".py", ".js")]
    carried = {str(path.relative_to(installed_wheel)) for path in (installed_wheel / "ClamSegWeb").rglob("*.*")}
    assert {str(path.relative_to(repository)) for path in page} <= carried
    assert not (installed_wheel / "ClamSegPanel").exists()


def test_the_verb_web_shows_the_pages_options_and_says_which_packages_are_missing(
    installed_wheel: Path, tmp_path: Path
) -> None:
    told = call(installed_wheel, ["web", "--help"], tmp_path)
    assert told.returncode == 0
    assert "--upload-limit" in told.stdout
    # Slicer's core may be here for the tests of the panel, trame is not where `-I` hides it.
    (tmp_path / "bare").mkdir()
    for name in ("ClamSegLib", "ClamSegWeb"):
        shutil.copytree(installed_wheel / name, tmp_path / "bare" / name)
    command = [sys.executable, "-S", "-m", "ClamSegLib", "web"]
    variables = {"PYTHONPATH": str(tmp_path / "bare"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "trame" in done.stderr
    assert "pip install 'clamseg[web]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_verb_web_starts_the_page_with_its_words_and_ends_with_its_code(tmp_path: Path) -> None:
    from ClamSegLib.cli import make_parser
    from ClamSegLib.commands.web import followed, page_words

    words = ["web", "--root", "a b", "--root", "c", "--port", "8125", "--no-browser", "--", "-x.nrrd", "y"]
    parsed = make_parser().parse_args(words)
    again = make_parser().parse_args(["web", *page_words(parsed)])
    assert again == parsed
    assert [str(file) for file in again.files] == ["-x.nrrd", "y"]
    assert followed([sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ)) == 7


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_whoever_ends_the_verb_web_ends_the_page_in_order(tmp_path: Path) -> None:
    """Ended by SIGTERM, as a service manager does: the page hears of it and may tidy up."""
    code = (
        "import signal, sys, time\nfrom ClamSegLib.commands.web import followed\nimport os\n"
        "signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))\n"
        "import ClamSegLib.commands.web as web\nweb._GRACE_S = 0.1\n"
        "page = 'import signal, sys, time, pathlib\\n'"
        "'def end(*_):\\n    pathlib.Path(\"tidied\").touch()\\n    sys.exit(0)\\n'"
        "'signal.signal(signal.SIGTERM, end)\\nprint(\"serving\", flush=True)\\ntime.sleep(600)'\n"
        "sys.exit(followed([sys.executable, '-c', page], dict(os.environ)))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    verb = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert verb.stdout is not None
    assert verb.stdout.readline() == "serving\n"
    verb.terminate()
    assert verb.wait(timeout=60) == 0
    assert (tmp_path / "tidied").exists()
    verb.stdout.close()


def test_the_resources_named_in_the_environment_come_first(installed_wheel: Path, tmp_path: Path) -> None:
    tiny_model(tmp_path / "resources" / "Models" / "mine", "MR")
    named = {"CLAMSEG_RESOURCES": str(tmp_path / "resources"), "CLAMSEG_MODELS": str(tmp_path / "none")}
    listed = call(installed_wheel, ["models", "--json"], tmp_path, **named)
    assert [entry["name"] for entry in json.loads(listed.stdout)["models"]] == ["mine"]


def test_a_wrong_resources_folder_in_the_environment_is_named(installed_wheel: Path, tmp_path: Path) -> None:
    named = {"CLAMSEG_RESOURCES": str(tmp_path / "gone"), "CLAMSEG_MODELS": str(tmp_path / "none")}
    done = call(installed_wheel, ["demo", "--output", tmp_path / "out"], tmp_path, **named)
    assert done.returncode == 2
    assert "CLAMSEG_RESOURCES" in done.stderr
    assert "Traceback" not in done.stderr


# -- what is promised --------------------------------------------------------------------------------------


def test_the_reference_names_every_verb_and_every_option(repository: Path) -> None:
    from ClamSegLib.cli import make_parser

    text = (repository / "docs" / "reference.md").read_text(encoding="utf-8")
    (verbs,) = [
        action for action in make_parser()._actions if hasattr(action, "choices") and isinstance(action.choices, dict)
    ]
    for verb, parser in verbs.choices.items():
        section = re.search(rf"^### {verb}$(.*?)(?=^##|\Z)", text, re.M | re.S)
        assert section, verb
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        named = set(re.findall(r"--[a-z][a-z-]*", section[1]))
        assert options - {"--help", "--progress"} <= named, f"{verb} lacks {sorted(options - named)}"
        assert named <= options, f"{verb} has no {sorted(named - options)}"


def test_every_key_of_a_configuration_file_is_described_as_its_docstring_says(repository: Path) -> None:
    script = [sys.executable, str(repository / "Packaging" / "write_configuration.py"), "--check"]
    told = subprocess.run(script, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"{told.stdout}{told.stderr}; run: python Packaging/write_configuration.py"


def test_links_in_the_documents_lead_to_files_that_are_there(repository: Path) -> None:
    for path in [
        *repository.glob("*.md"),
        *(repository / "docs").glob("*.md"),
        *(repository / "docs" / "research").glob("*.md"),
        *(repository / "Resources").rglob("README.md"),
    ]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} -> {target}"


def test_pins_fit_the_ranges_and_hold_no_cuda_package(repository: Path) -> None:
    from packaging.requirements import Requirement

    pins = pinned(repository / "constraints.txt")
    of_the_page = pinned(repository / "constraints-web.txt")
    for name in (*pins, *of_the_page):
        assert not name.startswith(("nvidia", "cuda", "triton", "torchvision"))
    # Slicer's core is older beneath the page; what else both environments hold is the same.
    assert {name for name in set(pins) & set(of_the_page) if pins[name] != of_the_page[name]} == {"slicer-core"}
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for pinned_here, wanted in (
        (pins, [*project["dependencies"], *(r for name in extras if not name.startswith("web") for r in extras[name])]),
        (of_the_page, [*extras["web"], *extras["web-test"]]),
    ):
        for requirement in map(Requirement, wanted):
            if requirement.name != "clamseg":
                name = re.sub(r"[-_.]+", "-", requirement.name).lower()
                assert name in pinned_here, f"{name} is not pinned"
                assert requirement.specifier.contains(pinned_here[name]), f"{requirement} against {pinned_here[name]}"


def pinned(path: Path) -> dict[str, str]:
    """Versions by package."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_sample_has_a_source_a_licence_and_a_place_in_the_patient(repository: Path) -> None:
    from ClamSegLib.imaging.read_write import read_volume

    folder = repository / "Resources" / "Samples"
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    assert {sample["modality"] for sample in samples} == {"CT", "MR", "XR"}
    for sample in samples:
        assert all(
            sample[key] for key in ("name", "model", "description", "source", "licence", "attribution", "citation")
        )
        volume = read_volume(folder / sample["file"])
        assert volume.spacing_known == (not sample["file"].endswith(".png"))
        assert (folder / sample["file"]).stat().st_size < 3_000_000
    ct = read_volume(folder / "ct_chest.nrrd")
    assert ct.array.shape == (48, 256, 256)
    assert ct.spacing_mm == pytest.approx((1.40625, 1.40625, 2.5))
    # Feet to head: the arch of the aorta lies above the base of the heart, 48 slices from z = -170 mm on.
    assert ct.to_lps([47, 0, 0])[2] == pytest.approx(-170 + 47 * 2.5)


def test_each_sample_is_the_part_of_its_source_that_its_table_names(repository: Path, real_data: Path) -> None:
    import numpy as np

    from ClamSegLib.imaging.read_write import read_volume

    folder = repository / "Resources" / "Samples"
    pairs = {
        "ct_chest.nrrd": ("lidc_ct/volumes/LIDC-IDRI-0001_ct.nii.gz", 68),
        "mr_flair_brain.nii.gz": ("open_ms_flair/volumes/patient07_flair.nii.gz", 56),
    }
    for name, (source, first) in pairs.items():
        part, whole = read_volume(folder / name), read_volume(real_data / source)
        corner = part.to_lps([0, 0, 0])
        index = np.linalg.solve(
            np.asarray(whole.direction).reshape(3, 3) * np.asarray(whole.spacing_mm), corner - np.asarray(whole.origin)
        )
        x, y, z = np.rint(index).astype(int)
        assert np.abs(index - np.rint(index)).max() < 1e-3
        assert z == first
        s, r, c = part.array.shape
        np.testing.assert_array_equal(part.array, whole.array[z : z + s, y : y + r, x : x + c])


def test_the_terminology_is_a_context_slicer_reads_with_codes_that_exist(repository: Path) -> None:
    from pydicom.sr._concepts_dict import concepts

    text = (repository / "Resources" / "Terminology" / "ClamSeg.term.json").read_text(encoding="utf-8")
    context = json.loads(text)
    assert context["SegmentationCategoryTypeContextName"]
    known = {value for values in concepts["SCT"].values() for value in values}
    # Not in the DICOM context groups: 'Infarct' (morphologic abnormality).
    known.add("55641003")
    for category in context["SegmentationCodes"]["Category"]:
        for code in (category, *category["Type"]):
            assert code["CodingSchemeDesignator"] == "SCT"
            assert code["CodeValue"] in known, code["CodeMeaning"]
        for kind in category["Type"]:
            assert all(0 <= channel <= 255 for channel in kind["recommendedDisplayRGBValue"])


def test_shipped_models_speak_the_shipped_terminology_and_carry_a_card(repository: Path) -> None:
    from ClamSegLib.model.checkpoint import load_model

    context = json.loads((repository / "Resources" / "Terminology" / "ClamSeg.term.json").read_text(encoding="utf-8"))
    codes = {
        (category["CodeValue"], kind["CodeValue"])
        for category in context["SegmentationCodes"]["Category"]
        for kind in category["Type"]
    }
    folders = [path.parent for path in (repository / "Resources" / "Models").glob("*/config.json")]
    if not folders:
        pytest.skip("no model is shipped yet")
    for folder in folders:
        config = load_model(folder).config
        assert config.name == folder.name
        assert config.licence
        card = (folder / "card.md").read_text(encoding="utf-8")
        assert "research" in card.lower()
        assert len(card) > 500
        for tag in (condition.terminology for condition in config.conditions):
            category, kind = (part.split("^") for part in tag.split("~")[:2])
            assert (category[1], kind[1]) in codes, f"{folder.name}: {tag}"
            assert kind[2] != "Mass", f"{folder.name} finds no masses"
