"""Words from outside: model names, terminology, file names, text of DICOM; refused at the door, or made harmless where they are written.

What is refused are characters that no name needs and that something downstream takes for an order: line ends and other control
characters, and those that turn the direction of the text.
"""

from __future__ import annotations

import unicodedata

from ClamSegLib.system.errors import InputError

LONGEST = 500
# Programs for tables take a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Control, format (of which joiners are letters in some scripts), surrogates, line and paragraph ends.
_NO_LETTERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"


def is_letter(character: str) -> bool:
    """Whether a character can stand in a name: anything but control characters and those that turn the text."""
    return character in _JOINERS or unicodedata.category(character) not in _NO_LETTERS


def check_words(text: str, where: str, longest: int = LONGEST) -> str:
    """The text, where it is one line of letters.

    Args:
        text: from a file that somebody gave.
        where: what it is, for the message.
        longest: characters that are allowed.

    Raises:
        InputError: control characters, or longer than allowed.
    """
    if len(text) > longest:
        raise InputError(f"{where} has {len(text)} characters; at most {longest} are allowed.")
    if not all(map(is_letter, text)):
        raise InputError(f"{where} holds a line end or another control character ({shown(text)[:60]}); remove it.")
    return text


def shown(text: str, line_ends: bool = False) -> str:
    """The text for a terminal, a log or a title: what is no letter becomes a question mark.

    Args:
        text: of any origin.
        line_ends: whether line ends stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if is_letter(c) or (line_ends and c == "\n") else "?" for c in text)


def bounded(text: str, longest: int = 100) -> str:
    """One short line of a header's text."""
    line = shown(" ".join(text.replace("\0", " ").split()))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def in_cell(text: str) -> str:
    """The text for a cell of a table that people open: one that would be taken for a formula begins with an apostrophe."""
    line = shown(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def in_nrrd(text: str) -> str:
    """The text as the value of a NRRD key, whose escapes are those of the format."""
    return text.replace("\\", "\\\\").replace("\r", " ").replace("\n", "\\n")


def in_picture(text: str) -> str:
    """The text for a picture: Matplotlib takes what stands between two dollars for a formula."""
    return shown(text, line_ends=True).replace("$", r"\$")
