"""What disk and memory refuse is told in one sentence, and a sentence that was found already stays."""

import errno

from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import InputError, OutputError


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_an_error_that_hides_a_full_disk_or_memory_is_told_as_that():
    assert "Memory ran out" in words_of_the_machine(raised_from(ValueError("odd"), MemoryError()))
    assert "No space left" in words_of_the_machine(
        raised_from(ValueError("odd"), OSError(errno.ENOSPC, "full", "a.nrrd"))
    )
    assert words_of_the_machine(ValueError("odd")) == ""


def test_an_error_of_ours_keeps_its_own_words():
    for error in (OutputError("No space left while writing report.pdf"), InputError("scan.nrrd cannot be read")):
        assert words_of_the_machine(raised_from(error, OSError(errno.EIO, "failed"))) == ""
