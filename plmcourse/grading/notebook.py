"""Read a submitted notebook, whatever its state, and cut out the code that one exercise needs.

A student's whole notebook takes minutes, and one cell that fails would stop it. What an exercise asks for is a function, so we
take that function's definition and what it needs (imports, helper functions, constants), and run only these. Three steps:
:func:`read` gets the cells, :func:`statements` parses them, :func:`answer` cuts out.

This runs inside the sandbox: nothing here may be trusted to be what it seems, and nothing here gives marks.
"""
import __future__

import ast
import builtins
import codecs
import dis
import inspect
import json
import linecache
import re
from collections import defaultdict
from dataclasses import dataclass, field
from types import CodeType

from IPython.core.inputtransformer2 import TransformerManager

# --- from bytes to cells ---

HEADING = re.compile(r"^ {0,3}#+\s*Exercise\s+(\d+\.\d+)\b", re.M)
GRADE_ID = re.compile(r"(?:solution|check)-(\d+)-(\d+)(?:-\d+)?")
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.M)


@dataclass(frozen=True)
class Cell:
    """A cell: its number counts all cells from 1."""

    number: int
    source: str
    kind: str = "code"
    grade_id: str = ""


@dataclass
class Notebook:
    """Code cells, the other cells, and one sentence for each oddity."""

    cells: list
    texts: list
    notes: list


def read(content):
    """Read a notebook of nbformat 3 or 4 as leniently as its bytes allow.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    Notebook

    Raises
    ------
    ValueError
        One sentence, when this is no notebook.
    """
    notes = []
    raw_cells = _raw_cells(_decoded(content, notes), notes)
    cells = [cell for number, raw in enumerate(raw_cells, 1) if (cell := _cell(number, raw, notes))]
    code = [cell for cell in cells if cell.kind == "code"]
    if not any(cell.source.strip() for cell in code):
        notes.append("The notebook has no code.")
    return Notebook(code, [cell for cell in cells if cell.kind != "code"], notes)


def _decoded(content, notes):
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", errors="replace")
    notes.append("The file is not valid UTF-8, so letters outside ASCII may be wrong.")
    strange = sum(letter > "\x7f" for letter in text)
    return text if text.count("\ufffd") < strange / 2 else content.decode("latin-1")  # a few bad bytes, or another encoding


def _raw_cells(text, notes):
    """The cells as JSON has them: anything at all may be in this list."""
    text = text.strip("\ufeff\0 \t\r\n")
    if not text:
        raise ValueError("The file is empty.")
    try:
        data, end = json.JSONDecoder(strict=False).raw_decode(text)
    except RecursionError as error:
        raise ValueError("The file is nested too deeply for a notebook.") from error
    except ValueError:  # besides JSON's own errors, a number of thousands of digits
        return _undamaged_cells(text, notes)
    if end < len(text):
        notes.append("Something follows the end of the notebook in the file; it is ignored.")
    if isinstance(data, dict) and isinstance(data.get("worksheets"), list):  # nbformat 3
        lists = [sheet.get("cells") for sheet in data["worksheets"] if isinstance(sheet, dict)]
    else:
        lists = [data.get("cells")] if isinstance(data, dict) else []
    if not lists or not all(isinstance(cells, list) for cells in lists):
        raise ValueError("The file is JSON, but not a notebook: it has no list of cells.")
    return [raw for cells in lists for raw in cells]


def _undamaged_cells(text, notes):
    """The cells before the place where a file stops being JSON, such as the end of an upload that was cut off."""
    conflict = CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        raise ValueError(f"The file has git conflict markers, the first in line {line}: the conflict was never resolved.")
    if text.startswith("<"):
        raise ValueError("The file is an HTML or XML page, not a notebook.")
    cells, start = [], re.search(r'"cells"\s*:\s*\[\s*', text) if text.startswith("{") else None
    place = start.end() if start else len(text)
    while place < len(text):
        try:
            raw, place = json.JSONDecoder(strict=False).raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        cells.append(raw)
        place = re.compile(r"[\s,]*").match(text, place).end()
    if not cells:
        raise ValueError("The file is not a notebook: it cannot be read as JSON.")
    notes.append(f"The file is damaged or cut off: only its first {len(cells)} cells can be read.")
    return cells


def _cell(number, raw, notes):
    source = raw.get("source", raw.get("input", "")) if isinstance(raw, dict) else None  # nbformat 3 says "input"
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        ends = any("\n" in line for line in source[:-1])  # some tools leave the line ends out
        source = ("" if ends else "\n").join(source)
    if not isinstance(source, str):
        notes.append(f"Cell {number} has no source that is text; it is left out.")
        return None
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    source = source.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair becomes a question mark
    kind, place = raw.get("cell_type", "code"), raw
    for key in ("metadata", "nbgrader", "grade_id"):
        place = place.get(key) if isinstance(place, dict) else None
    return Cell(number, source, kind if isinstance(kind, str) else "raw", place if isinstance(place, str) else "")


# --- from cells to statements ---

# What the parser and the compiler raise for text that is no program: null bytes are a ValueError, deep nesting the last two.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*(?:\n|\Z)")
AROUND_PYTHON = {"time", "timeit", "capture", "prun"}  # cell magics that run the rest of the cell as it is
GOES_ON = re.compile(r"[#)\]}]|(else|elif|except|finally)\b")  # at the left margin, and yet no new statement
UNFINISHED = re.compile(r"never closed|unterminated triple-quoted|unexpected EOF|expected an indented block")
COMMANDS = 500  # of IPython that are undone in one cell, as many as in IPython itself
REACH = 40  # how many pieces of a broken cell a string or bracket may span
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
_ipython = TransformerManager()


@dataclass(eq=False)
class Statement:
    """A statement at the top level of a cell.

    Attributes
    ----------
    cell : Cell
    code : ast.stmt
    flags : int
        Of the compiler, from ``from __future__ import …``.
    checks : dict
        From an exercise's number to the call of ``check`` for it, an ast.Call.
    binds : set of str
        Global names that it defines, or that a function in it defines with ``global``.
    sure : set of str
        Those of them that it defines in any case: what was there before is then of no matter.
    uses : set of str
        Global names that are looked up when it runs.
    later : set of str
        Global names that are looked up only when a function in it is called.
    mutates : set of str
        Names whose value it changes, without defining them anew.
    """

    cell: Cell
    code: ast.stmt
    flags: int = 0
    checks: dict = field(default_factory=dict)
    binds: set = field(default_factory=set)
    sure: set = field(default_factory=set)
    uses: set = field(default_factory=set)
    later: set = field(default_factory=set)
    mutates: set = field(default_factory=set)
    mutates_later: set = field(default_factory=set)

    @property
    def source(self):
        """The student's own lines."""
        first = min([self.code.lineno, *(item.lineno for item in getattr(self.code, "decorator_list", []))])
        return "\n".join(self.cell.source.split("\n")[first - 1:self.code.end_lineno])

    def compile(self):
        """A code object to execute; a traceback through it shows the student's own line."""
        name, lines = f"cell {self.cell.number}", [line + "\n" for line in self.cell.source.split("\n")]
        linecache.cache[name] = (len(self.cell.source), None, lines, name)
        return compile(ast.Module([self.code], []), name, "exec", flags=self.flags, dont_inherit=True)


@dataclass(frozen=True)
class Lost:
    """Text that is not run: where a cell does not parse, or is no Python; ``reason`` is a sentence without its full stop."""

    cell: int
    source: str
    reason: str


@dataclass
class Program:
    """All statements of a notebook, top to bottom; what was lost; notes, one sentence each."""

    statements: list
    lost: list
    notes: list


def statements(notebook):
    """Parse a notebook's cells, IPython's own syntax undone; of a cell that does not parse, what does parse.

    Parameters
    ----------
    notebook : Notebook

    Returns
    -------
    Program
    """
    lost = [Lost(cell.number, cell.source, f"cell {cell.number} is a {cell.kind} cell, not code") for cell in notebook.texts]
    notes, found, flags = [], [], 0
    for cell in notebook.cells:
        nodes, errors = _nodes(cell)
        for node in nodes:
            flags |= _future(node)
            statement = Statement(cell, node, flags)
            try:
                _look_up(statement)
            except UNREADABLE as error:  # such as 'return' outside a function
                errors.append(_broken(cell, error, statement.source))
            else:
                found.append(statement)
        lost += errors
        notes += [f"{error.reason[0].upper()}{error.reason[1:]}." for error in errors[:1] if "does not parse" in error.reason]
    _note_checks(found)
    _note_changes(found)
    return Program(found, lost, notes)


def _nodes(cell):
    """The parsed statements of a cell, and what was lost: a list of Lost."""
    body = cell.source
    while magic := CELL_MAGIC.match(body):
        if magic[1] not in AROUND_PYTHON:
            return [], [Lost(cell.number, cell.source, f"cell {cell.number} begins with %%{magic[1]} and is not run as Python")]
        body = "\n" * magic[0].count("\n") + body[magic.end():]
    try:
        return _parse(body), []
    except UNREADABLE as error:
        nodes, errors = _salvage(cell, body)
        return nodes, errors or [_broken(cell, error, "")]  # nothing is lost, and yet the cell as a whole does not run


def _parse(text):
    """The statements of a text, which may hold IPython's own syntax; line numbers stay."""
    try:
        tree = ast.parse(text)  # nearly all cells: plain Python
    except SyntaxError:
        tree = ast.parse(_without_ipython(text))
    _drop_magics(tree)
    return tree.body


def _without_ipython(text):
    """Python for a text with ``%magic``, ``!command``, ``help?`` or ``>>>``, in as many lines."""
    lines = [line + "\n" for line in text.split("\n")]
    for clean in _ipython.cleanup_transforms:
        lines = clean(lines)
    body = "".join(lines)
    lines = [line + "\n" for line in body.split("\n")[:-1]]
    for _ in range(COMMANDS):
        changed, new = _ipython.do_one_token_transform(lines)
        place = next((i for i, (old, now) in enumerate(zip(lines, new)) if old != now), None)
        if not changed or place is None:
            break
        new[place + 1:place + 1] = ["\n"] * (len(lines) - len(new))  # a command continued with backslashes became one line
        lines = new
    return "\n" * (text.count("\n") + 1 - body.count("\n")) + "".join(lines)  # blank lines at the top were taken off


def _drop_magics(tree):
    """Take IPython's commands out of a tree; what ``%time`` measures stays."""
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list) and any(map(_magic, block)):
                kept = [new for old in block for new in (_timed(old) if _magic(old) else [old])]
                setattr(node, part, kept or ([] if node is tree else [ast.copy_location(ast.Pass(), block[0])]))


def _magic(node):
    """The call of IPython that a statement is, or assigns; or None."""
    value = node.value if isinstance(node, (ast.Expr, ast.Assign)) else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call):
        return value if _dotted(value.func.value.func) == "get_ipython" else None
    return None


def _timed(node):
    """What remains of a command of IPython: the statements after ``%time``."""
    call = _magic(node)
    if call.func.attr != "run_line_magic" or [getattr(part, "value", None) for part in call.args[:1]] != ["time"]:
        return []
    timed = _parse("\n" * (node.lineno - 1) + str(getattr(call.args[-1], "value", "")))
    if isinstance(node, ast.Assign) and [type(part) for part in timed] == [ast.Expr]:  # x = %time f()
        node.value = timed[0].value
        return [node]
    return timed


def _salvage(cell, body):
    """Of a cell that does not parse, the pieces that do, and those that do not."""
    lines = body.split("\n")
    starts = [*_starts(lines), len(lines)]
    nodes, errors, piece = [], [], 0
    while piece < len(starts) - 1:
        first = None
        for end in range(piece + 1, min(piece + REACH, len(starts))):  # a bracket or string may hold lines at the left margin
            try:
                nodes += _parse("\n" * starts[piece] + "\n".join(lines[starts[piece]:starts[end]]))
            except UNREADABLE as error:
                first = first or _broken(cell, error, "\n".join(lines[starts[piece]:starts[piece + 1]]))
                if not UNFINISHED.search(str(error)):
                    break
            else:
                first, piece = None, end - 1
                break
        errors += [first] if first else []
        piece += 1
    return nodes, errors


def _starts(lines):
    """Indices of lines at the left margin that begin a statement, decorators included."""
    starts, decorated = [], False
    for index, line in enumerate(lines):
        if not line.strip() or starts and (line[0].isspace() or GOES_ON.match(line)):
            continue
        if not decorated:
            starts.append(index)
        decorated = line.startswith("@") or decorated and not re.match(r"(async\s+)?(def|class)\b", line)
    return starts


def _broken(cell, error, source):
    if isinstance(error, (RecursionError, MemoryError)):
        return Lost(cell.number, source, f"cell {cell.number} does not parse: it is nested too deeply")
    line = f"line {error.lineno}: " if getattr(error, "lineno", None) else ""
    message = (error.msg if isinstance(error, SyntaxError) else str(error)).rstrip(".")
    return Lost(cell.number, source, f"cell {cell.number} does not parse: {line}{message[:200]}")


def _future(node):
    """The compiler's flags for ``from __future__ import …``, which hold for all that follows, as in Jupyter."""
    names = [item.name for item in node.names] if isinstance(node, ast.ImportFrom) and node.module == "__future__" else []
    return sum({getattr(__future__, name).compiler_flag for name in names if name in __future__.all_feature_names})


# --- what a statement does with names ---


def _look_up(statement):
    """Fill in what a statement binds, uses and mutates.

    The compiler has worked out which names are global and which are parameters or local, so we read it off the compiled code.
    """
    for action, name, later in _global_names(statement.compile()):
        if action == "LOAD":
            (statement.later if later else statement.uses).add(name)
            continue
        if action == "STORE":
            statement.binds.add(name)
        if later or action == "DELETE":
            (statement.mutates_later if later else statement.mutates).add(name)
    for name, later in _changed(statement.code):
        if not later:
            statement.mutates.add(name)
        elif name in statement.later:  # else it is local to the function
            statement.mutates_later.add(name)
    statement.sure = _sure(statement.code)


def _global_names(code, outermost=True, later=False):
    """(LOAD, STORE or DELETE; name; whether only when a function is called) for each global name in compiled code."""
    for step in dis.get_instructions(code):
        action, _, kind = step.opname.partition("_")
        if action in ("LOAD", "STORE", "DELETE") and ("GLOBAL" in kind or kind == "NAME" and (outermost or action == "LOAD")):
            yield action, step.argval, later
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            now = not inner.co_flags & inspect.CO_OPTIMIZED or inner.co_name in COMPREHENSIONS  # the body of a class, or a loop
            yield from _global_names(inner, False, later or not now)


def _changed(statement):
    """(name, whether only when a function is called) for ``x[…] = …``, ``x.y = …``, ``del x[…]``, and ``x.method(…)`` alone."""
    to_do = [(statement, False)]
    while to_do:
        node, later = to_do.pop()
        stored = isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load)
        method = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
        root = node if stored or method else None
        while isinstance(root, (ast.Expr, ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, ast.Name):
            yield root.id, later
        inside = later or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        to_do += [(part, inside) for part in ast.iter_child_nodes(node)]


def _sure(node):
    """Names that a statement defines in any case."""
    if _is_definition(node):
        return {node.name}
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return set().union(*map(_sure, node.body))
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return _imported(node)
    targets = getattr(node, "targets", []) if not isinstance(node, ast.AnnAssign) else [node.target] if node.value else []
    parts = [part for target in targets for part in ast.walk(target)]
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _is_definition(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _imported(node):
    """Names that the imports in a statement bind."""
    names = [item for part in ast.walk(node) if isinstance(part, (ast.Import, ast.ImportFrom)) for item in part.names]
    return {(item.asname or item.name).partition(".")[0] for item in names}


def _note_changes(found):
    """Complete ``mutates``: a statement that calls a function also changes the globals which that function changes.

    Only what the notebook itself defines counts: ``torch.manual_seed(0)`` is nothing that a function waits for.
    """
    own = {name for one in found for name in one.binds - _imported(one.code)}
    effects, grown = defaultdict(set), True
    while grown:
        grown = False
        for one in found:
            changes = one.mutates_later.union(*(effects[name] for name in one.later if name in effects))
            for name in one.binds - one.mutates_later if changes else ():
                grown |= not changes <= effects[name]
                effects[name] |= changes
    for one in found:
        called = set() if one.checks else set().union(*(effects[name] for name in one.uses if name in effects))
        one.mutates = (one.mutates | called) & own


def _note_checks(found):
    """Fill in which exercises each statement checks, under whatever name the course's ``check`` was imported."""
    names = {"pc.check", "plmcourse.check"}
    for node in (part for one in found for part in ast.walk(one.code) if isinstance(part, (ast.Import, ast.ImportFrom))):
        for item in node.names:
            if isinstance(node, ast.Import) and item.name.partition(".")[0] == "plmcourse" or _of_course(node):
                name = item.asname or item.name.partition(".")[0]
                names |= {f"{name}.check", f"{name}.checks.check"}
            if _of_course(node) and item.name in ("check", "*"):
                names.add(item.asname or "check")
    for one in found:
        if not _is_definition(one.code):
            calls = [part for part in ast.walk(one.code) if isinstance(part, ast.Call) and _dotted(part.func) in names]
            one.checks = {number: call for call in calls if (number := _first_text(call))}


def _of_course(node):
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "plmcourse"


def _dotted(node):
    """"pc.check" of the expression pc.check; empty for others."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts, node = [node.attr, *parts], node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def _first_text(call):
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    return str(first).strip() if isinstance(first, (str, float)) else None


# --- from statements to an answer ---


def exercises(notebook, program):
    """Numbers of the exercises that a notebook is about: of its checks, its headings and nbgrader's cell names.

    Parameters
    ----------
    notebook : Notebook
    program : Program
        What :func:`statements` made of it.

    Returns
    -------
    set of str
    """
    found = {number for one in program.statements for number in one.checks if re.fullmatch(r"\d+\.\d+", number)}
    found |= {number for cell in notebook.texts for number in HEADING.findall(cell.source)}
    found |= {number for lost in program.lost for number in re.findall(r"""\bcheck\(\s*["'](\d+\.\d+)["']""", lost.source)}
    ids = [GRADE_ID.fullmatch(cell.grade_id) for cell in notebook.cells + notebook.texts]
    return found | {f"{match[1]}.{match[2]}" for match in ids if match}


@dataclass
class Answer:
    """What to run for an exercise, and what to evaluate then.

    Attributes
    ----------
    code : list of Statement
        In the order in which to run them.
    expressions : list of str
        A Python expression for each function or class; None for one that is not there.
    notes : list of str
        One sentence for each oddity.
    problem : str or None
        One sentence, when a function or class is not there; of two, the other one may be.
    missing : set of str
        Names that the code uses and nothing in the notebook defines, such as imports of a deleted cell.
    """

    code: list
    expressions: list
    notes: list
    problem: str | None = None
    missing: set = field(default_factory=set)


def answer(program, number, names):
    """Cut out what an exercise's functions or classes need, as when the notebook runs from top to bottom until their check.

    Parameters
    ----------
    program : Program
    number : str
        The exercise, "1.2".
    names : list of str
        Its functions or classes, ["mlm_loss", "perplexity"].

    Returns
    -------
    Answer
    """
    checks = [index for index, one in enumerate(program.statements) if number in one.checks]
    result, roots = Answer([], [], []), []
    if not checks:
        result.notes.append(f'The notebook does not call check("{number}", …).')
    for position, name in enumerate(names):
        given = _given(program.statements[checks[0]].checks[number], position) if checks else None
        expression, needed, place = _found(program, number, name, given, checks, result.notes)
        result.expressions.append(expression)
        roots += [(one, place) for one in needed]
        if expression is None:
            result.problem = result.problem or _problem(program.lost, name)
    if roots:
        end = max([place for _, place in roots], default=0)
        result.code, result.missing = _Cut(program.statements, number, end).run(roots)
    return result


def _given(call, position):
    """The expression, as text, that a call of check passes for the exercise's function of that position; or None."""
    passed = call.args[1:]
    try:
        if any(isinstance(part, ast.Starred) for part in passed):
            return f"[{', '.join(map(ast.unparse, passed))}][{position}]"
        return ast.unparse(passed[position]) if position < len(passed) else None
    except (RecursionError, ValueError):  # it is nested too deeply
        return None


def _found(program, number, name, given, checks, notes):
    """Where a function is: (expression or None, global names that the expression needs, index of the statement before which)."""
    defined = [index for index, one in enumerate(program.statements) if name in one.binds and number not in one.checks]
    first_check = checks[0] if checks else len(program.statements)
    if not defined:
        bound = set().union(*(one.binds for one in program.statements if number not in one.checks))
        if given is None or given.isidentifier() and given not in bound:
            return None, set(), 0
        cell = _cell_of(program, first_check)
        notes.append(f"There is no {name}; its check in cell {cell} is given {given[:80]}; that counts.")
        return given, _needed(given), first_check
    if given not in (None, name):
        notes.append(f"The check in cell {_cell_of(program, first_check)} is given {given[:80]}; what is graded is {name}.")
    if not checks:
        real = [index for index in defined if _is_definition(program.statements[index].code)]  # not a variable of the same name
        return name, {name}, (real or defined)[-1] + 1
    _note_definitions(program, name, defined, first_check, notes)
    return name, {name}, first_check if defined[0] < first_check else defined[-1] + 1


def _note_definitions(program, name, defined, first_check, notes):
    """Say which definition counts where there are several, or where it comes too late."""
    before = [_cell_of(program, index) for index in defined if index < first_check]
    functions = [index for index in defined if _is_definition(program.statements[index].code)]
    after = [_cell_of(program, index) for index in functions if index > first_check]
    if not before:
        notes.append(f"{name} is only defined in cell {_cell_of(program, defined[-1])}, after its check.")
        return
    if len(before) > 1:
        cells = ", ".join(map(str, before))
        notes.append(f"{name} is defined {len(before)} times before its check, in cells {cells}; the last counts.")
    if after:
        notes.append(f"{name} is defined again in cell {after[-1]}, after its check; that does not count.")
    for lost in program.lost:
        if before[-1] < lost.cell <= _cell_of(program, first_check) and _defines(lost, name):
            notes.append(f"A later definition of {name} does not count: {lost.reason}.")


def _cell_of(program, index):
    return program.statements[index].cell.number


def _needed(expression):
    """Global names of an expression."""
    return {name for _, name, _ in _global_names(compile(expression, "check", "eval", dont_inherit=True))}


def _problem(lost, name):
    """Why a function or class is not there, in a sentence."""
    for part in lost:
        if _defines(part, name):
            return f"{name} cannot be read: {part.reason}."
    return f"There is no {'class' if name[0].isupper() else 'function'} {name} in the notebook."


def _defines(lost, name):
    return re.search(rf"^\s*((async\s+)?def|class)\s+{name}\b|^{name}\s*=", lost.source, re.M)


class _Cut:
    """Follows names to the statements that define and change them.

    A name is looked up at a place: the index of the statement that needs it. What counts there is the last statement above that
    defines it, those in between that change it, and, for a notebook whose cells are not in order, those below when there is none
    above. What a function looks up counts where the function is used, and at the end, where the check calls it.
    """

    def __init__(self, statements, number, end):
        self.statements, self.end = statements, end
        self.touching = defaultdict(list)  # name -> indices of statements that define or change it
        for index, one in enumerate(statements):
            for name in one.binds | one.mutates if number not in one.checks else ():
                self.touching[name].append(index)
        self.stars = [index for index, one in enumerate(statements[:end]) if "*" in one.sure]
        self.first = defaultdict(set)  # index -> indices of statements that must run before it
        self.taken, self.missing = set(self.stars), set()

    def run(self, roots):
        """The statements needed, in order, and the names that nothing defines."""
        to_do, seen = [*roots, *((name, star) for star in self.stars for name in self.statements[star].uses)], set()
        while to_do:
            name, place = to_do.pop()
            if (name, place) in seen:
                continue
            seen.add((name, place))
            above, below = self.reaching(name, place)
            self.first[place].update(above)
            for index in above | below:
                self.taken.add(index)
                one = self.statements[index]
                to_do += [(used, index) for used in one.uses]
                plain = _is_definition(one.code) and not one.code.decorator_list
                places = {place, self.end} if plain else {index, place, self.end}
                to_do += [(used, where) for used in one.later for where in places]
        return [self.statements[index] for index in self.in_order()], self.missing

    def reaching(self, name, place):
        """(what must run before the statement at a place, what changes the name afterwards): indices of statements."""
        touching = self.touching[name]
        above = self.until_sure(name, [index for index in reversed(touching) if index < place])
        if self.bound_in(above, name):
            after = self.until_sure(name, [index for index in touching if place <= index < self.end])
            return above, {index for index in after if name not in self.statements[index].binds}
        if hasattr(builtins, name):
            return set(), set()
        if not self.bound_in(touching, name):
            if not name.startswith("__"):
                self.missing.add(name)
            return set(self.stars), set()
        below = [index for index in touching if index >= place]
        inside = [index for index in below if index < self.end]
        return above.union(inside if self.bound_in(inside, name) else below), set()

    def bound_in(self, indices, name):
        return any(name in self.statements[index].binds for index in indices)

    def until_sure(self, name, indices):
        """The indices up to the first statement that defines the name in any case."""
        found = set()
        for index in indices:
            found.add(index)
            if name in self.statements[index].sure:
                break
        return found

    def in_order(self):
        """From top to bottom, but what a statement needs comes first."""
        order, begun = [], set()
        for index in sorted(self.taken):
            stack = [index] if index not in begun else []
            begun.add(index)
            while stack:
                needs = sorted(self.first[stack[-1]] - begun)
                if needs:
                    begun.add(needs[0])
                    stack.append(needs[0])
                else:
                    order.append(stack.pop())
        return order
