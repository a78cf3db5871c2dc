"""Build the package with flags that break its arithmetic, and check what comes out.

    python tests/hostile_builds.py [compiler ...]

Each flag of fast math is given to each compiler (gcc and clang, where they are) by the
environment, and by a wrapper that puts it after all others, for compiling and linking or for
linking alone. A build is right if it is refused with a cure, if `python -m prelu_array` finds
every bit right, or if that names the flag's trace. Takes a minute for each build; the exit status
is 1 if one is wrong.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from test_build import HOSTILE, ROOT

WRAPPER = """#!/bin/sh
case "{where} $*" in
link*-shared* | all*) exec {compiler} "$@" {flag} ;;
*) exec {compiler} "$@" ;;
esac
"""
SELF_CHECK = ("makes the process flush subnormals", "elements differ")


def build(folder, flag, compiler, where):
    """Return what became of a build."""
    for built in folder.glob("prelu_array/*.so"):
        built.unlink()
    shutil.rmtree(folder / "build", ignore_errors=True)
    environment = dict(os.environ)
    if where == "environment":
        environment |= {"CFLAGS": flag, "LDFLAGS": flag}
        cc = compiler
    else:
        cc = folder / "cc"
        cc.write_text(WRAPPER.format(flag=flag, compiler=compiler, where=where))
        cc.chmod(0o755)
    environment |= {"CC": str(cc), "LDSHARED": f"{cc} -shared"}
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, **options)
    if done.returncode:
        cured = "cannot be built with fast math: take -ffast-math" in done.stderr
        return "refused" if cured else f"WRONG: {done.stderr[-300:]}"
    done = subprocess.run([sys.executable, "-m", "prelu_array"], **options)
    right = "Every bit is right." in done.stdout and done.returncode == 0
    found = any(words in done.stdout for words in SELF_CHECK) and done.returncode == 1
    if where != "environment" and found:
        return "the self-check names it"
    return "every bit is right" if right else f"WRONG: {(done.stdout + done.stderr)[-600:]}"


def main():
    """Print a line for each build."""
    compilers = [c for c in sys.argv[1:] or ("gcc", "clang") if shutil.which(c)]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("_ext", "prelu_array"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.so"))
        for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, folder)
        for compiler in compilers:
            for where in ("environment", "all", "link"):
                for flag in HOSTILE:
                    what = build(folder, flag, compiler, where)
                    failed += what.startswith("WRONG")
                    print(f"{compiler:6} {flag:28} {where:12} {what}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
