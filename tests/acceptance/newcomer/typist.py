"""Runs a script of bash in a terminal, and types one answer after the other where it asks: `python typist.py SCRIPT ANSWER…`."""

import os
import pty
import sys


def main(script: str, answers: list[str]) -> int:
    """Return the script's exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "-eo", "pipefail", script])
    while True:
        try:
            said = os.read(terminal, 65536)
        except OSError:  # its end, as Linux says it
            said = b""
        if not said:
            break
        os.write(1, said.replace(b"\r\n", b"\n"))
        # A question is what the line ends with while nothing follows it.
        if answers and said.rstrip(b" ")[-1:] in {b":", b"?"} and said.endswith(b" "):
            os.write(terminal, f"{answers.pop(0)}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
