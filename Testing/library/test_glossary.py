"""The words of docs/glossary.md are those of documents, panel, page and messages; a dialect of our own stays away."""

import ast
import functools
import re
from pathlib import Path

import pytest

# Files that were written once, and the word of the glossary for it.
DIALECT = {
    r"\btwo shells\b|\bshells of\b": "branches",
    r"\bthe clam\b": "the twin",
    r"\btwins differ\b|\bdisagreement of the twins\b": "doubt, or disagreement of the branches",
    r"\bheard (?:together|with)\b|\bhear each slice\b": "slice smoothing",
    r"\blevels? by need\b": "early exit",
    r"\bby heart\b": "overfits",
    r"\bis told better\b|\btold better\b": "is more likely where",
    r"\bdataset doctor\b": "dataset check",
    r"\bgone on with\b|\btaken over\b|\btake it up\b": "resumed",
    r"\bunheard\b": "suppressed",
}


def documents(repository: Path) -> list[Path]:
    return [*repository.glob("*.md"), *(repository / "docs").glob("*.md"), *(repository / "docs" / "api").glob("*.md")]


def texts_of_code(path: Path) -> str:
    """The strings of a file that a user may read: no docstrings, no names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and isinstance(n.body[0], ast.Expr)
    }
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return "\n".join(n.value for n in constants if id(n) not in docstrings and " " in n.value)


@functools.cache
def readable(repository: Path) -> dict[str, str]:
    read = {
        path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8")
        for path in documents(repository)
        if path.name != "CHANGELOG.md"
    }
    read["ClamSeg.ui"] = (repository / "ClamSeg" / "Resources" / "UI" / "ClamSeg.ui").read_text(encoding="utf-8")
    for room in ("ClamSeg", "ClamSegWeb", "ClamSegLib"):
        for path in (repository / room).rglob("*.py"):
            read[path.relative_to(repository).as_posix()] = texts_of_code(path)
    return read


@pytest.mark.parametrize("words", DIALECT)
def test_words_that_only_we_would_understand_stay_away(words: str, repository: Path) -> None:
    found = {name for name, text in readable(repository).items() if re.search(words, text, re.I)}
    assert found == set(), f"say instead: {DIALECT[words]}"


def test_the_strings_of_the_code_are_read_and_its_docstrings_are_not(repository: Path) -> None:
    texts = texts_of_code(repository / "ClamSegLib" / "system" / "progress.py")
    assert "Silent about progress" not in texts
    assert "error: " in texts


def test_every_term_of_the_glossary_has_one_meaning(repository: Path) -> None:
    glossary = (repository / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [
        term.strip() for cell in re.findall(r"^\| ([^|]+) \| [^|]+ \|$", glossary, re.M) for term in cell.split(",")
    ]
    terms = [term for term in terms if term not in ("term", "---")]
    assert {"twin", "branch", "doubt", "slice smoothing", "slice label", "predicted"} <= set(terms)
    assert [term for term in set(terms) if terms.count(term) > 1] == []


def test_the_readme_and_the_start_page_lead_to_the_glossary(repository: Path) -> None:
    assert "docs/glossary.md" in (repository / "README.md").read_text(encoding="utf-8")
    assert "glossary.md" in (repository / "docs" / "index.md").read_text(encoding="utf-8")
