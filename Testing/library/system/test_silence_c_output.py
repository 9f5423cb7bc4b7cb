"""What C prints is kept back while it should be; what Python says is heard at all times."""

import os
import subprocess
import sys

import pytest

SAY = """
import ctypes, os, sys
from ClamSegLib.system import silence_c_output as c_messages
if {by_descriptor}:
    c_messages._stdout_variable = lambda: None
library = ctypes.CDLL(None)
kept = os.dup(1)
library.puts(b"C before")
with c_messages.suppress_c_stdout():
    library.puts(b"C inside")
    print("Python inside", flush=True)
    with c_messages.suppress_c_stdout():
        library.puts(b"C deeper inside")
library.puts(b"C after")
print("Python after", flush=True)
library.fflush(None)
"""


@pytest.mark.skipif(os.name == "nt", reason="the words are said by the C library of POSIX systems")
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_only_what_c_prints_inside_the_block_is_not_heard(repository, by_descriptor):
    code = SAY.format(by_descriptor=by_descriptor)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert sorted(done.stdout.splitlines()) == ["C after", "C before", "Python after", "Python inside"]
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="descriptors are closed otherwise there")
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_a_program_without_standard_output_goes_on(repository, by_descriptor):
    code = (
        "import os, sys; os.close(1); from ClamSegLib.system import silence_c_output as c_messages;"
        + ("c_messages._stdout_variable = lambda: None;" if by_descriptor else "")
        + "manager = c_messages.suppress_c_stdout(); manager.__enter__(); manager.__exit__(None, None, None);"
        "sys.stderr.write('done'); sys.stdout = None"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stderr.startswith("done")


def test_a_claimed_standard_output_carries_only_what_python_writes(repository):
    program = (
        "import ctypes, os, sys\n"
        "from ClamSegLib.system.silence_c_output import claim_stdout\n"
        "claim_stdout()\n"
        "print('promised')\n"
        "os.write(1, b'noise of a library\\n')\n"
        "ctypes.CDLL(None).puts(b'noise of C')\n"
        "os.system('echo noise of a process')\n"
        "answers = claim_stdout('utf-8')\n"
        "answers.write('to the end\\n')\n"
        "answers.flush()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=repository, check=False, timeout=60
    )
    assert done.stdout == "promised\nto the end\n", done.stderr
    assert done.stderr.count("noise") == 3
