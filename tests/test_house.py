"""The house: files that must agree with each other, promises about the package, and the offline guard itself."""
import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {".git", ".venv", "build", "dist", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis",
             ".ipynb_checkpoints"}
PACKAGE = sorted((ROOT / "plmcourse").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def committed_files():
    """All files of the working tree that are not made by a build or a run."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED]
        yield from (Path(folder) / name for name in files)


def text_files():
    """(path relative to the repository, text) of all files that are text."""
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content[:1024] and not content.startswith(b"\x1f\x8b"):
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def requirement(line):
    """("numpy", {">=2.0", "<2.3"}) of "numpy>=2.0,<2.3"."""
    name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", line).groups()
    return name.lower().replace("_", "-"), frozenset(bound.strip() for bound in bounds.split(",") if bound)


# --- files that agree ---

def test_environment_agrees_with_pyproject():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python = requirement("python" + PROJECT["project"]["requires-python"])
    assert set(map(requirement, conda)) == {python, ("pip", frozenset())}
    assert {"-c constraints.txt", "-e .[view]"} <= set(pip["pip"])
    packages = [line for line in pip["pip"] if not line.startswith("-")]
    assert set(map(requirement, packages)) == set(map(requirement, PROJECT["project"]["dependencies"]))


def test_constraints_pin_every_dependency_exactly():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pins = dict(map(requirement, lines))
    loose = [name for name, bounds in pins.items() if not re.fullmatch(r"==[0-9][0-9a-z.]*", *bounds)]
    assert loose == [], "only exact versions, without local parts"
    wanted = [*PROJECT["project"]["dependencies"], *sum(PROJECT["project"]["optional-dependencies"].values(), [])]
    assert {requirement(line)[0] for line in wanted} <= set(pins)


def test_make_has_its_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("lab", "run", "test", "notebooks", "data"):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_readme_lists_eight_notebooks_and_links_those_that_exist():
    rows = re.findall(r"^\| (\d) \| (.+?) \| .+? \| (.+?) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert [int(number) for number, _, _ in rows] == list(range(1, 9))
    linked = {re.search(r"\((.+)\)", name).group(1) for _, name, state in rows if state == "available"}
    assert linked == {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {state for _, _, state in rows} <= {"available", "in preparation"}


def test_version_is_the_same_everywhere():
    version = re.search(r'__version__ = "(.+?)"', (ROOT / "plmcourse/__init__.py").read_text(encoding="utf-8")).group(1)
    assert PROJECT["tool"]["plmcourse"]["tag"] == f"v{version}"
    for file, line in (("CITATION.cff", f"version: {version}"), ("CHANGELOG.md", f"## {version}")):
        assert line in (ROOT / file).read_text(encoding="utf-8"), file


def test_links_in_documents_lead_somewhere():
    for name, text in text_files():
        if name.endswith(".md"):
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
                assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"


def test_no_file_names_a_machine():
    inside = "|".join(["work/", "root/", "tmp/", r"home/\w+/", r"Users/\w+/", "usr/local/"])
    machine = re.compile(rf"""(?<![\w.~])/({inside})""")
    for name, text in text_files():
        found = None if name.startswith("tests/hostile/") else machine.search(text)  # attackers name what they look for
        assert not found, f"{name} names a path of one machine: {found.group()}"


# --- promises about the package ---

def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", [*PACKAGE, *sorted((ROOT / "tools").rglob("*.py"))], ids=lambda path: path.name)
def test_functions_have_at_most_40_lines(path):
    assert [(name, lines) for name, lines in functions(path) if lines > 40] == []


def code_lines(path):
    """Numbers of the lines that hold code: no docstring, comment or blank line."""
    text = path.read_text(encoding="utf-8")
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return [number for number, line in enumerate(text.splitlines(), start=1)
            if line.strip() and not line.strip().startswith("#") and number not in documented]


def part_of(path):
    """The part of the package that a file belongs to."""
    if "checks" in path.parts or "grading" in path.parts:
        return "checks" if "checks" in path.parts else "grading"
    return "past one machine" if path.name in ("proteomes.py", "placement.py") else "what students read"


@pytest.mark.parametrize("part, most", [("what students read", 2000), ("past one machine", 300), ("grading", 3100)])
def test_the_package_is_small(part, most):
    paths = [path for path in PACKAGE if part_of(path) == part]
    lines = sum(len(code_lines(path)) for path in paths)
    print(f"{lines} lines of code in {part}")
    assert lines < most


def test_import_does_not_import_torch():
    code = "import sys, plmcourse; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_files_compile_under_python_312():
    python = shutil.which("python3.12")
    if not python or subprocess.run([python, "-V"], capture_output=True).returncode:
        pytest.skip("there is no Python 3.12 on PATH")
    code = "import sys\nfor path in sys.argv[1:]: compile(open(path, encoding='utf-8').read(), path, 'exec')"
    files = [str(path) for path in committed_files() if path.suffix == ".py"]
    subprocess.run([python, "-W", "error", "-c", code, *files], check=True)


def test_committed_notebooks_are_valid():
    for folder in ("notebooks", "solutions"):
        for path in (ROOT / folder).glob("*.ipynb"):
            nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))


# --- the tests run offline ---

def test_this_process_cannot_leave_the_machine():
    for attempt in (lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
                    lambda: socket.getaddrinfo("example.org", 80),
                    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))):
        with pytest.raises(ConnectionRefusedError, match="The tests run offline"):
            attempt()


def test_a_child_process_cannot_leave_the_machine(tmp_path):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "The tests run offline" in run.stderr


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
