"""The bench: what it compares, and what it writes."""
import bench
import bench_models
import numpy as np
import pytest

import plmcourse as pc


def test_a_section_is_replaced_or_added_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "DOCUMENT", tmp_path / "b.md")
    bench.DOCUMENT.write_text("# Title\n\nA word.\n\n## One\n\nold\n\n## Two\n\ntwo\n")
    bench.write_section("One", "new\n")
    bench.write_section("Three", "three")
    assert bench.DOCUMENT.read_text() == "# Title\n\nA word.\n\n## One\n\nnew\n\n## Two\n\ntwo\n\n## Three\n\nthree\n"


def test_what_a_sample_left_out_is_not_compared():
    ours, theirs = [np.array([1.0, 2.0]), np.array([3.0])], [np.array([1.5, np.nan]), np.array([np.nan])]
    assert bench_models._difference(ours, theirs) == 0.5
    with pytest.raises(ValueError):
        bench_models._difference(ours, theirs[:1])


@pytest.mark.parametrize("task, data", [("embed", ["MKTAYIAKQR", "GAVLIMFWP"]), ("scan", "MKTAYIAK"), ("contacts", ["MKTAYIAKQRQISF"])])
def test_contenders_find_the_same(task, data):
    plm = pc.load(bench_models.FOLDER, "cpu")
    found = [make(plm, data)() for make in bench_models.TASKS[task].contenders.values()]
    for other in found[1:]:
        assert bench_models._difference(found[0], other) < bench_models.TASKS[task].tolerance


def test_a_contender_that_disagrees_stops_the_run(monkeypatch):
    class Liar:
        def __init__(self, task, name, count, threads):
            self.name, self.seconds, self.peak = name, [], 1
            self.result = [np.array([1.0 if name == "plmcourse" else 2.0])]

        def round(self):
            self.seconds.append(1.0)

        def end(self):
            pass

    monkeypatch.setattr(bench_models, "Contender", Liar)
    with pytest.raises(ValueError, match="fair-esm predict_contacts and plmcourse disagree by 1"):
        bench_models.compare("contacts", rounds=1, count=1)
