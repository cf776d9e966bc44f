"""Runs the commands of infra/README.md, as they stand there."""

import os
import pathlib
import re
import subprocess
import time

TEXT = pathlib.Path("infra/README.md").read_text()


def commands(heading):
    """The `sh` blocks under a heading, in order. Blocks of other languages are for people or need Docker."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert section, f"infra/README.md has no section {heading}"
    blocks = re.findall(r"^```sh\n(.*?)^```", section[1], re.M | re.S)
    assert blocks, f"the section {heading} of infra/README.md has no commands"
    return "\n".join(blocks)


def follow(heading, directory):
    """Runs them in one shell in the directory, which stands for a clone; what it exports is known to the next."""
    state = directory / "state"
    state.touch()
    script = f"set -euo pipefail\n. {state}\nset -x\n{commands(heading)}\nset +x\nexport -p >{state}\n"
    time.sleep(1)  # the AWS CLI names change sets by the second
    ran = subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, text=True, env=os.environ)
    assert ran.returncode == 0, f"the section {heading} of infra/README.md ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
    return ran.stdout
