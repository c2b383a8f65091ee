"""The fit loop: what it promises about seeds, steps, interrupts and checkpoints, on tiny models."""
import copy
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tqdm import tqdm
from transformers import EsmForSequenceClassification, EsmForTokenClassification

import plmcourse as pc
from plmcourse import training
from plmcourse.checks.tiny import tiny_plm
from plmcourse.sequences import PAD, RESIDUES

GENERATOR = np.random.default_rng(0)
SEQUENCES = ["".join(GENERATOR.choice(list(RESIDUES), size)) for size in GENERATOR.integers(4, 30, 24)]
IS_RICH = [int(sequence.count("L") + sequence.count("A") > len(sequence) / 10) for sequence in SEQUENCES]  # something to learn
CHARGED = [np.isin(list(sequence), list("DEKR")).astype(int) for sequence in SEQUENCES]


def whole(plm=None):
    data = training.examples(plm or tiny_plm(), SEQUENCES, IS_RICH)
    return data[:16], data[16:]


def residues():
    data = training.examples(tiny_plm(), SEQUENCES, CHARGED)
    return data[:16], data[16:]


def classifier(kind=pc.SequenceClassifier, dropout=0.1, last_n=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pc.thaw(kind(copy.deepcopy(tiny_plm().model.esm), 2, dropout), last_n)


def same(a, b):
    return all(torch.equal(a.state_dict()[name], b.state_dict()[name]) for name in a.state_dict())


def fit(model, data, **options):
    return pc.fit(model, *data, **{"tokens_per_batch": 64, "epochs": 3, "patience": 9} | options)


def test_residue_labels_are_learned():
    model = classifier(pc.ResidueClassifier)
    history = fit(model, residues(), epochs=8, lr=1e-2)
    assert history.macro_f1.max() > 0.75 > history.macro_f1[0]
    assert history.index.tolist() == list(range(9)) and math.isnan(history.train_loss[0])


def test_the_best_weights_are_kept():
    model = classifier()
    history = fit(model, whole(), epochs=6, lr=3e-2)
    loss, macro_f1 = training.evaluate(model, whole()[1])
    assert macro_f1 == history.macro_f1.max()
    assert loss == pytest.approx(history.validation_loss[history.macro_f1.idxmax()], abs=1e-6)
    assert not model.training


def test_early_stopping():
    history = fit(classifier(), whole(), epochs=40, lr=0.3, patience=2)
    assert len(history) - 1 == history.macro_f1.idxmax() + 2 < 40


def test_the_same_seed_trains_the_same_model_and_nobody_elses_numbers_change():
    models = [classifier(pc.ResidueClassifier) for _ in range(3)]
    before = torch.random.get_rng_state()
    histories = [fit(model, residues(), lr=1e-2, seed=seed) for model, seed in zip(models, (0, 0, 1))]
    assert torch.equal(before, torch.random.get_rng_state())
    assert histories[0].equals(histories[1]) and same(models[0], models[1])
    assert not same(models[0], models[2])


@pytest.mark.parametrize("weights", [None, [1.0, 5.0]])
@pytest.mark.parametrize("data", [whole, residues])
def test_accumulated_batches_make_the_step_of_one_large_batch(data, weights):
    kind = pc.SequenceClassifier if data is whole else pc.ResidueClassifier
    large, small, untouched = (classifier(kind, dropout=0.0) for _ in range(3))
    train = data()[0]
    for model, groups in ((large, [train]), (small, [train[:3], train[3:10], train[10:]])):
        run = training.Run(model, train, dict(lr=0.0), weights, None)
        run.optimizer = torch.optim.SGD(run.trained.values(), lr=1.0)  # AdamW's first step hides the size of a gradient
        run.step(groups)
    assert not same(large, untouched)
    for a, b in zip(large.parameters(), small.parameters()):
        assert torch.allclose(a, b, atol=1e-5)


def test_class_weights_are_those_of_cross_entropy():
    train, _ = whole()
    model = classifier(dropout=0.0).eval()
    run = training.Run(model, train, dict(lr=1e-3, seed=0, tokens_per_batch=64, accumulate=1), [1.0, 3.0], None)
    tokens, labels = training.collate(train)
    loss, weight = run.backward(tokens, labels)
    expected = torch.nn.functional.cross_entropy(model(tokens), labels, torch.tensor([1.0, 3.0])).item()
    assert loss / weight == pytest.approx(expected, abs=1e-6)
    assert training.evaluate(model, train, [1.0, 3.0])[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("last_n", [0, 1])
def test_only_what_is_trainable_is_trained(last_n):
    model, before = (classifier(pc.ResidueClassifier, last_n=last_n) for _ in range(2))
    train, validation = residues()
    run = training.Run(model, validation, dict(lr=1e-2, seed=0, tokens_per_batch=64, accumulate=1), None, None)
    run.one_epoch(train, tqdm(disable=True))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before.state_dict()[name])}
    assert changed == {name for name, p in before.named_parameters() if p.requires_grad}


def test_nothing_trainable_is_said():
    with pytest.raises(ValueError, match="no parameter of the model is trainable"):
        fit(classifier().requires_grad_(False), whole())


def test_a_label_that_is_no_class_is_named():
    train, validation = whole()
    with pytest.raises(ValueError, match="labels run from 0 to 5, the model has classes 0 to 1"):
        pc.fit(classifier(), train, [*validation, (validation[0][0], 5)])


def test_empty_sets_are_named():
    train, validation = whole()
    with pytest.raises(ValueError, match="no examples to evaluate"):
        pc.fit(classifier(), train, [])
    with pytest.raises(ValueError, match="the training set is empty"):
        pc.fit(classifier(), [], validation)


def test_labels_and_sequences_must_match():
    with pytest.raises(ValueError, match="2 sequences and 1 labels"):
        training.examples(tiny_plm(), ["MK", "MK"], [0])
    with pytest.raises(ValueError, match="sequence 2 has 2 residues and 3 labels"):
        training.examples(tiny_plm(), ["MK", "MK"], [[0, 1], [0, 1, 0]])
    with pytest.raises(ValueError, match="'J' at position 2 of 'sequence 1'"):
        training.examples(tiny_plm(), ["MJ"], [0])


def test_predictions_come_in_order_and_without_padding():
    model = classifier(pc.ResidueClassifier)
    data = residues()[0]
    together = pc.predict(model, data, tokens_per_batch=100)
    assert [len(rows) for rows in together] == [len(tokens) - 2 for tokens, _ in data]
    for rows, pair in zip(together, data):
        assert rows == pytest.approx(pc.predict(model, [pair])[0], abs=1e-5)
        assert rows.sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", [EsmForSequenceClassification, EsmForTokenClassification])
def test_transformers_models_are_trained_the_same_way(kind):
    config = copy.deepcopy(tiny_plm().config)
    config.num_labels = 2
    model = kind(config)
    history = fit(model, whole() if kind is EsmForSequenceClassification else residues(), lr=1e-2)
    assert history.train_loss.iloc[-1] < history.train_loss[1]


def test_the_padding_is_masked_for_transformers_models():
    config = copy.deepcopy(tiny_plm().config)
    config.num_labels = 2
    model = EsmForTokenClassification(config).eval()
    tokens = tiny_plm().tokenize(["MKT", "MKTAYIAKQR"])
    expected = model(input_ids=tokens, attention_mask=tokens != PAD).logits
    assert torch.equal(training.class_logits(model, tokens), expected)


class TestInterrupt:
    def test_an_interrupt_leaves_the_best_weights_so_far(self, capsys):
        model, train = classifier(), whole()
        passes = []

        def stop(*_):
            passes.append(None)
            if len(passes) == 25:
                raise KeyboardInterrupt

        handle = model.register_forward_hook(stop)
        history = fit(model, train, epochs=50, lr=1e-2)
        handle.remove()
        assert 1 <= len(history) - 1 < 50
        assert training.evaluate(model, train[1])[1] == history.macro_f1.max()
        assert not model.training and all(p.grad is None for p in model.parameters())
        assert f"the weights of epoch {history.macro_f1.idxmax()}, the best so far" in capsys.readouterr().out

    def test_an_error_leaves_them_too_and_is_not_hidden(self):
        model, train = classifier(), whole()
        before = copy.deepcopy(model)
        with pytest.raises(IndexError):
            fit(model, ([*train[0], (train[0][0][0], 7)], train[1]))
        assert same(model, before) and not model.training


def start_long_run(file):
    fit(classifier(pc.ResidueClassifier), residues(), epochs=200, lr=1e-2, patience=999, checkpoint=file)


def go_on_with_long_run(file):
    """Two epochs more than the checkpoint holds, resumed and from the start: the same history, the same weights."""
    epochs = len(torch.load(file, weights_only=True)["history"]) + 1
    straight, resumed = (classifier(pc.ResidueClassifier) for _ in range(2))
    expected = fit(straight, residues(), epochs=epochs, lr=1e-2, patience=999)
    assert fit(resumed, residues(), epochs=epochs, lr=1e-2, patience=999, checkpoint=file).equals(expected)
    assert same(straight, resumed)


class TestCheckpoint:
    def test_a_run_goes_on_as_if_it_had_never_stopped(self, tmp_path):
        straight, halved, fresh = (classifier(pc.ResidueClassifier) for _ in range(3))
        expected = fit(straight, residues(), epochs=4, lr=1e-2)
        fit(halved, residues(), epochs=2, lr=1e-2, checkpoint=tmp_path / "run.pt")
        found = fit(fresh, residues(), epochs=4, lr=1e-2, checkpoint=tmp_path / "run.pt")
        assert found.equals(expected) and same(straight, fresh)

    def test_a_killed_run_goes_on_as_if_it_had_never_stopped(self, tmp_path, root):
        # both halves in fresh processes: threads and settings that other tests left in this one change the last bits
        file = tmp_path / "run.pt"
        command = "import sys; sys.path[:0] = sys.argv[2:]; import test_training as t; t.{}(sys.argv[1])"
        start, go_on = ([sys.executable, "-c", command.format(name), str(file), str(root / "tests"), str(root)]
                        for name in ("start_long_run", "go_on_with_long_run"))
        child = subprocess.Popen(start, stderr=subprocess.PIPE)
        while not file.exists() and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, child.stderr.read().decode()
        resumed = subprocess.run(go_on, capture_output=True, text=True)
        assert resumed.returncode == 0, resumed.stderr

    def test_other_settings_are_refused(self, tmp_path):
        fit(classifier(), whole(), epochs=1, checkpoint=tmp_path / "run.pt")
        with pytest.raises(ValueError, match="a run with lr = 0.001, this one has 0.1"):
            fit(classifier(), whole(), epochs=1, lr=0.1, checkpoint=tmp_path / "run.pt")
        with pytest.raises(ValueError, match=r"a run with weights = None, this one has \[1.0, 2.0\]"):
            fit(classifier(), whole(), epochs=1, weights=[1, 2], checkpoint=tmp_path / "run.pt")
        with pytest.raises(ValueError, match="trained other parameters"):
            fit(classifier(last_n=0), whole(), epochs=1, checkpoint=tmp_path / "run.pt")
