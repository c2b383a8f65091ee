"""The makers of submissions for the grader's tests: hostile ones and an honest class."""
import inspect
import json
import os

import honest_class
import hostile
import pytest

from plmcourse.checks import EXERCISES, engine

SUBMISSIONS = hostile.submissions()
LARGE = ("huge_notebook", "many_cells", "zip_bomb", "knows_by_heart")  # made where they are graded; they take long to write


# ------------------------------------------------------------------------------------------------------------- hostile

def functions(number, text):
    """Functions of an exercise of notebook 3 from the text of a cell."""
    return honest_class.functions_of("03_embeddings", number, [inspect.cleandoc(text)])


def earned(number, given):
    return sum(part.points for part in engine.run(EXERCISES[number], lambda: given) if part.passed)


def test_there_are_enough_and_each_says_what_it_is():
    assert len(SUBMISSIONS) >= 30
    for name, module in SUBMISSIONS.items():
        assert module.__doc__ and hasattr(module, "EARNS") + hasattr(module, "EARNS_AT_MOST"), name
        fair = getattr(module, "EARNS", {}) | getattr(module, "EARNS_AT_MOST", {})
        assert all(0 <= points <= hostile.POINTS[number] for number, points in fair.items()), name
        assert len(os.fsencode(getattr(module, "STUDENT", name))) <= 255, name


@pytest.mark.parametrize("number", hostile.POINTS)
def test_the_right_answers_are_right(number):
    assert earned(number, functions(number, hostile.RIGHT[number])) == hostile.POINTS[number] == EXERCISES[number].points


@pytest.mark.parametrize("name", [name for name in SUBMISSIONS if name not in LARGE])
def test_a_submission_writes_into_its_own_folder_only(tmp_path, name):
    (tmp_path / "victim").mkdir()
    folder = tmp_path / getattr(SUBMISSIONS[name], "STUDENT", name)
    folder.mkdir()
    SUBMISSIONS[name].make(folder)
    assert list(folder.iterdir())
    assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "victim"]) and not list((tmp_path / "victim").iterdir())
    for closed in folder.glob("closed"):
        closed.chmod(0o700)  # pytest tidies up


def test_an_attack_knows_where_it_must_not_fire(tmp_path):
    hostile.write(tmp_path, {"3.2": "armed()"})
    cells = json.loads((tmp_path / "03_embeddings.ipynb").read_text(encoding="utf-8"))["cells"]
    names = {}
    exec(next(cell["source"] for cell in cells if "def armed" in cell["source"]), names)
    assert names["armed"]() is not hostile.own_namespace().startswith("pid:")


def test_verdict():
    loop = SUBMISSIONS["endless_loop"]
    assert hostile.verdict(loop, {"3.1": 4, "3.3": 3, "3.4": 2}) == []
    assert len(hostile.verdict(loop, {"3.1": 4, "3.2": 1, "3.3": 3})) == 2, "one point gained, two lost"
    assert hostile.verdict(SUBMISSIONS["fork_bomb"], {"3.1": 0}) == []
    assert len(hostile.verdict(SUBMISSIONS["fork_bomb"], {"3.1": 4.5})) == 1


# -------------------------------------------------------------------------------------------------------------- honest

@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Papers of a class, and where they lie."""
    folder, draw = tmp_path_factory.mktemp("class"), honest_class.random.Random(0)
    papers = honest_class.draw_class(40, 0)
    for paper in papers:
        honest_class.write_paper(folder, paper, draw)
    return folder, papers


def read_cells(folder, paper):
    """Sources of the code cells of a paper, whatever its oddities."""
    text = (folder / paper.student / f"{paper.notebook}.ipynb").read_text(encoding="utf-8-sig")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]).replace("\r\n", "\n") for cell in cells]


def last_definition(cells, name):
    """The last cell that defines a name; cells need not be Python."""
    starts = f"def {name}(", f"class {name}(", f"class {name}:"
    found = [cell for cell in cells if any(line.startswith(starts) for line in cell.splitlines())]
    return found[-1] if found else None


def test_papers_hold_what_was_drawn(written):
    folder, papers = written
    for paper in papers:
        cells = read_cells(folder, paper)
        for number, answer in paper.answers.items():
            where = f"{paper.student}, {number}: {answer}, {paper.oddities}"
            for name in EXERCISES[number].names:
                found = last_definition(cells, name)
                if answer == "missing":
                    assert found is None, where
                elif not answer.startswith("syntax error"):
                    assert found.endswith(paper.code[number][-1]), where


def test_pasted_answers_define_their_functions(written):
    for paper in written[1]:
        for number, answer in paper.answers.items():
            if answer.startswith(("right", "wrong")):
                texts = honest_class.graded_texts(paper, number)
                assert all(map(callable, honest_class.functions_of(paper.notebook, number, texts))), (paper.student, number, answer)
            elif answer.startswith("syntax error"):
                with pytest.raises(SyntaxError):
                    compile(paper.code[number][-1], number, "exec")


def test_the_class_is_mixed(written):
    papers = written[1]
    kinds = [answer.partition(":")[0] for paper in papers for answer in paper.answers.values()]
    assert {paper.notebook for paper in papers} == set(honest_class.NOTEBOOKS)
    assert set(kinds) == set(honest_class.SHARES) and kinds.count("right") > len(kinds) / 3
    assert {oddity for paper in papers for oddity in paper.oddities} >= set(honest_class.ODDITIES)
    assert len({paper.student for paper in papers}) == 40


def test_points_of_answers_with_known_points():
    for kind, answer, points in (("right", "right_mean_pool__loop", 3), ("wrong", "wrong_mean_pool__first_and_last_column", 1)):
        found = next(found for found in honest_class.answers("3.2")["mean_pool"][kind] if found.name == answer)
        jobs = [("03_embeddings", "3.2", [found.helpers, found.text])]
        assert honest_class.all_points(jobs) == [points]
        if kind == "wrong":
            assert honest_class.all_points(jobs, course_seed=5) == [points], "in a process of its own"


def test_the_same_class_again(tmp_path):
    one, other = honest_class.draw_class(8, 3), honest_class.draw_class(8, 3)
    assert one == other != honest_class.draw_class(8, 4)
