"""What the extension's files import and say: light imports, words that can be translated."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

EXTENSION = Path(__file__).resolve().parents[2] / "ClamSeg"
FILES = sorted(EXTENSION.rglob("*.py"))
# The self-test speaks to developers, in the words that stand in its code.
SHOWN_FILES = [path for path in FILES if path.stem != "self_test"]
OUR_PACKAGES = {"ClamSegLib", "ClamSegWorkflow", "ClamSegPanel"}
ALLOWED = {
    "slicer",
    "qt",
    "ctk",
    "vtk",
    "numpy",
    "SimpleITK",
    "scipy",
    "SampleData",
    "SegmentEditorEffects",
} | OUR_PACKAGES
TRANSLATORS = {"_", "translate", "tr"}
# Attributes and calls that put words before the user's eyes.
SHOWN_ATTRIBUTES = {
    "text", "toolTip", "title", "windowTitle", "accessibleName", "placeholderText", "helpText",
    "acknowledgementText", "statusTip", "whatsThis", "noneDisplay", "suffix", "prefix",
}  # fmt: skip
SHOWN_CALLS = {
    "setText", "setToolTip", "setTitle", "setWindowTitle", "addItem", "addItems", "insertItem", "setItemText",
    "setHorizontalHeaderLabels", "setVerticalHeaderLabels", "addAction", "addTab", "addRow", "QLabel", "QPushButton",
    "QCheckBox", "QAction", "QTableWidgetItem", "errorDisplay", "infoDisplay", "warningDisplay", "messageBox",
    "confirmOkCancelDisplay", "confirmYesNoDisplay", "tryWithErrorDisplay", "delayDisplay", "showStatusMessage",
    "getExistingDirectory", "getOpenFileName", "getSaveFileName", "getText", "getItem", "failed", "ask", "said",
    "_finish_with", "_fail", "SceneError",
}  # fmt: skip


# Sentences that no user reads: names in files' formats and standards, keys, and errors of a programmer.
NOT_SHOWN = {
    "The ClamSeg authors", " cannot follow ", "DICOM SEG", "DICOM SR", "checking the organ", "ClamSeg region",
    "Segmentation category and type - DICOM master list", "Anatomic codes - DICOM master list", "space directions: ",
    "kinds: domain domain domain", "encoding: raw", "space origin: (", "finding the organ", "segmenting slices",
    "Conversion method", "Smoothing factor",  # keys by which Slicer knows parameters of a conversion
    "choosing an engine (once per model)", r"error: \[.*\] exit abnormally - Report the problem\.?",
}  # fmt: skip


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def bare_words(node: ast.AST) -> list[str]:
    """Texts with a word in them that no translation sees; what is inside `_()` or another call is left to that call."""
    if isinstance(node, ast.Call):
        return bare_words(node.func.value) if isinstance(node.func, ast.Attribute) and name_of(node) == "format" else []
    if isinstance(node, ast.Constant):
        is_words = isinstance(node.value, str) and any(len(word) > 1 and word.isalpha() for word in node.value.split())
        return [node.value] if is_words else []
    if isinstance(node, ast.Subscript | ast.Attribute | ast.Compare | ast.Lambda):
        return []
    if isinstance(node, ast.FormattedValue):
        return bare_words(node.value)
    return [word for child in ast.iter_child_nodes(node) for word in bare_words(child)]


def sentences(node: ast.AST, documentation: set[int]) -> list[str]:
    """Texts of two words and more outside `_()`: whoever writes a sentence means a reader."""
    if isinstance(node, ast.Call) and name_of(node) in TRANSLATORS:
        return []
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
        words = [word for word in node.value.split() if len(word) > 1 and word.strip(".,;:()").isalpha()]
        return [node.value] if len(words) > 1 else []
    return [text for child in ast.iter_child_nodes(node) for text in sentences(child, documentation)]


def documentation_of(tree: ast.AST) -> set[int]:
    """Docstrings, which no user reads."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def untranslated(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [text for text in sentences(tree, documentation_of(tree)) if text not in NOT_SHOWN]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Attribute) and target.attr in SHOWN_ATTRIBUTES for target in node.targets
        ):
            found += bare_words(node.value)
        if isinstance(node, ast.Call) and name_of(node) in SHOWN_CALLS:
            shown = [*node.args, *(each.value for each in node.keywords if each.arg in ("windowTitle", "title"))]
            found += [word for argument in shown for word in bare_words(argument)]
    return found


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ('label.text = "Done with it"', True),
        ('label.text = _("Done with it")', False),
        ('label.text = _("Done with {n}").format(n=3)', False),
        ('label.text = "Done with {n}".format(n=3)', True),
        ('label.text = f"Done with {n}"', True),
        ('combo.addItems([_("one"), "another one"])', True),
        ('slicer.util.errorDisplay("It broke", windowTitle=_("Oh"))', True),
        ('raise SceneError(f"{name} went wrong")', True),
        ('"""A file."""\ntable.setColumnWidth("wide")', False),
    ],
)
def test_words_that_cannot_be_translated_are_found(source: str, is_found: bool) -> None:
    assert bool(untranslated(source)) is is_found


@pytest.mark.parametrize("path", SHOWN_FILES, ids=lambda path: path.stem)
def test_every_visible_word_can_be_translated(path: Path) -> None:
    assert untranslated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_translations_are_of_whole_texts_and_formatted_afterwards(path: Path) -> None:
    """lupdate reads the literal; an f-string or a sum inside the call would never be found in a translation."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TRANSLATORS:
            text = node.args[-1]
            assert not isinstance(text, ast.JoinedStr | ast.BinOp), f"line {node.lineno}"
            assert not (isinstance(text, ast.Call) and name_of(text) == "format"), f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_at_file_scope_only_what_slicer_carries_is_imported(path: Path) -> None:
    allowed = ALLOWED | set(sys.stdlib_module_names)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        modules = []
        if isinstance(node, ast.Import):
            modules = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        assert {module.split(".")[0] for module in modules} <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_torch_is_imported_nowhere_in_the_extension(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert "torch" not in {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] != "torch"


# Rooms that every front uses, and what they may know. A front is the panel, or the page in a browser.
WORKFLOW = EXTENSION / "ClamSegWorkflow"
SHARED_ROOMS = {
    "scene": {"slicer", "vtk", "numpy", "scipy", "ClamSegLib", "ClamSegWorkflow.words", "ClamSegWorkflow.scene"},
    "process": {"ClamSegLib", "ClamSegWorkflow.words", "ClamSegWorkflow.process"},
    "case": {
        "vtk",
        "numpy",
        "scipy",
        "ClamSegLib",
        "ClamSegWorkflow.words",
        "ClamSegWorkflow.scene",
        "ClamSegWorkflow.case",
    },
    "training": {
        "ClamSegLib",
        "ClamSegWorkflow.words",
        "ClamSegWorkflow.scene",
        "ClamSegWorkflow.process",
        "ClamSegWorkflow.training",
    },
}


def test_the_shared_rooms_are_those_that_have_a_rule() -> None:
    assert {path.parent.name for path in WORKFLOW.glob("*/__init__.py")} == set(SHARED_ROOMS)


@pytest.mark.parametrize("path", sorted(WORKFLOW.glob("*/*.py")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_every_front_uses_knows_no_front(path: Path) -> None:
    known = SHARED_ROOMS[path.parent.name] | set(sys.stdlib_module_names)

    def allowed(module: str) -> bool:
        room = ".".join(module.split(".")[: 2 if module.startswith("ClamSegWorkflow") else 1])
        return room in known

    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert all(allowed(each.name) for each in node.names), f"line {node.lineno}"
        elif isinstance(node, ast.ImportFrom) and not allowed(node.module or ""):
            # Slicer's own translator stands behind ClamSegWorkflow.words.
            assert node.module == "slicer.i18n", f"line {node.lineno}"
