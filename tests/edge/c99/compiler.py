"""The C compiler of the tests: strict C99, warnings are errors, undefined behaviour stops the program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.c99 import emit, example

STRICT = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wno-float-conversion",
)
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


def compiler():
    """Path of cc; skips without one, unless CI asks for it."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        reason = "needs a C compiler (cc, gcc or clang)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def sanitises(folder):
    """Whether programs can be built with the undefined-behaviour sanitiser."""
    source = Path(folder) / "probe.c"
    source.write_text("int main(void) { return 0; }\n")
    made = subprocess.run(
        [compiler(), *UNDEFINED, str(source), "-o", str(source.with_suffix(""))],
        capture_output=True,
        check=False,
    )
    return made.returncode == 0


def build(folder, header, main, flags=()):
    """Compile a main program against a header; the path of the program."""
    folder = Path(folder)
    (folder / "model.h").write_text(header)
    (folder / "main.c").write_text(main)
    program = folder / "main"
    strict = [*STRICT, *(UNDEFINED if sanitises(folder) else ())]
    command = [compiler(), *strict, *flags, str(folder / "main.c"), "-o", str(program), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[:4000]
    return program


def run(program, mode, rows):
    """Feed rows of numbers; the rows that come back."""
    text = "\n".join(" ".join(_text(x) for x in row) for row in rows) + "\n"
    done = subprocess.run([str(program), mode], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])


def _text(x):
    return str(x) if isinstance(x, int) else repr(float(x))


class Programs:
    """The float and the double build of one model, and what its header promises."""

    def __init__(self, folder, fleet, rows, horizon, name="model", flags=("-O2",), **coefficients):
        self.header = emit(fleet, rows, horizon, name, **coefficients)
        main = example(fleet, rows, horizon, name)
        self.horizon, self.up = horizon, name.upper()
        self.programs = {}
        for kind, more in (("FLOAT", ()), ("DOUBLE", (f"-D{self.up}_DOUBLE",))):
            if kind == "FLOAT" and "#error" in self.header:
                continue
            place = Path(folder) / kind
            place.mkdir(parents=True)
            self.programs[kind] = build(place, self.header, main, (*flags, *more))

    def define(self, name):
        """The value of a macro."""
        (line,) = [x for x in self.header.splitlines() if x.startswith(f"#define {self.up}_{name} ")]
        return float(line.split()[2])

    def run(self, kind, mode, rows):
        """Means and variances (rows, horizon) each; a step has the imputed value in front."""
        out = run(self.programs[kind], mode, rows)
        return (out[:, 0], *np.split(out[:, 1:], 2, axis=1)) if mode == "step" else np.split(out, 2, axis=1)
