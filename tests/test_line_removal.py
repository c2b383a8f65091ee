"""Every line of the eight solutions matters: take one statement away, and the check must notice."""
import ast
import copy
import io
import linecache
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from biotite.structure.io.pdb import PDBFile

import plmcourse as pc
from plmcourse.checks import EXERCISES, CheckFailed, check

SOLUTIONS = Path(__file__).resolve().parents[1] / "solutions"
FILES = {"1": "01_masked_language_modeling.py", "2": "02_esm2_architecture.py", "3": "03_embeddings.py",
         "4": "04_zero_shot_mutations.py", "5": "05_fine_tuning.py", "6": "06_lora.py", "7": "07_esmfold.py",
         "8": "08_attention_contacts.py"}

# Statements for speed or memory alone, without which the answer is the same: (function, statement): why
SPARED = {}


@cache
def source(file):
    """The definitions with a solution region, dict from name to FunctionDef or ClassDef, and the regions as (first, last) lines."""
    text = (SOLUTIONS / file).read_text()
    lines = text.splitlines()
    regions = list(zip([i for i, line in enumerate(lines, 1) if "### BEGIN SOLUTION" in line],
                       [i for i, line in enumerate(lines, 1) if "### END SOLUTION" in line]))
    code = "\n".join("" if re.match(r"\s*[%!]", line) else line for line in lines)  # magics are no Python
    found = {node.name: node for node in ast.parse(code).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
             and any(node.lineno < first and last <= node.end_lineno + 1 for first, last in regions)}
    return found, regions


def functions(file):
    return source(file)[0]


def number_of(name):
    return next((number for number, exercise in EXERCISES.items() if name in exercise.names), None)


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def no_grad(node):
    return isinstance(node, ast.With) and "no_grad" in ast.unparse(node.items[0])


def places(file, name):
    """All statements of a solution that may go: (path to the block, index), nested ones and those of a class's methods too."""
    definitions, regions = source(file)
    found = []

    def walk(node, path):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            for index, child in enumerate(block if isinstance(block, list) else []):
                idle = isinstance(child, (ast.Import, ast.ImportFrom, ast.Pass))
                written = any(first < child.lineno < last for first, last in regions)  # by a student, in place of the stub
                if written and not (idle or is_docstring(child) or no_grad(child)):
                    found.append((*path, (field, index)))
                walk(child, (*path, (field, index)))

    walk(definitions[name], ())
    return found


def without(tree, path):
    """A copy of the function or class without the statement at that path, and the statement's text."""
    tree = copy.deepcopy(tree)
    node = tree
    for field, index in path[:-1]:
        node = getattr(node, field)[index]
    field, index = path[-1]
    block = getattr(node, field)
    removed = block.pop(index)
    if not block and field == "body":
        block.append(ast.Pass())
    return ast.fix_missing_locations(tree), ast.unparse(removed)


def run(trees, file):
    """Define these functions in a namespace like a notebook's."""
    namespace = {"pc": pc, "np": np, "pd": pd, "torch": torch, "math": math, "F": torch.nn.functional, "nn": torch.nn,
                 "io": io, "PDBFile": PDBFile}
    code = "\n\n".join(ast.unparse(tree) for tree in trees)
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    exec(compile(code, file, "exec"), namespace)
    return namespace


def removals():
    found = []
    for file in FILES.values():
        for name, tree in functions(file).items():
            if number_of(name) is None:
                continue
            for path in places(file, name):
                line = without(tree, path)[1].splitlines()[0]
                found.append(pytest.param(file, name, path, id=f"{number_of(name)}-{name}-{line}"))
    return found


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("PLMCOURSE_GRADING", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def graded(number, file, trees):
    namespace = run(trees, f"<{file}>")
    return check(number, *[namespace[name] for name in EXERCISES[number].names])


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_solution_passes(number):
    file = FILES[number[0]]
    graded(number, file, functions(file).values())


@pytest.mark.parametrize("file, name, path", removals())
def test_every_statement_matters(file, name, path):
    smaller, removed = without(functions(file)[name], path)
    if (name, removed) in SPARED:
        pytest.skip(SPARED[name, removed])
    trees = [smaller if other == name else tree for other, tree in functions(file).items()]
    with pytest.raises(CheckFailed):
        graded(number_of(name), file, trees)


def test_methods_of_classes_are_covered():
    lines = [without(functions(FILES["2"])["TransformerBlock"], path)[1] for path in places(FILES["2"], "TransformerBlock")]
    assert "self.norm1 = nn.LayerNorm(dim)" in lines and "q, k = apply_rotary(q, k)" in lines
    assert not any("super()" in line or line.startswith("def ") for line in lines), "what the stub keeps is not the student's"


def test_spared_statements_exist():
    there = {(name, without(tree, path)[1]) for file in FILES.values() for name, tree in functions(file).items()
             for path in places(file, name)}
    assert set(SPARED) <= there
