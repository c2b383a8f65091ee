"""Masking, the training step, and the trainer that makes the course's checkpoint."""
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import EsmForMaskedLM

from plmcourse import datasets, pretraining
from plmcourse.models import untrained
from plmcourse.sequences import CLS, EOS, MASK, PAD, RESIDUES, TOKEN_ID

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))


def batch(rows=64, length=200, seed=0):
    """Random proteins between <cls> and <eos>, some X, the last rows padded."""
    residues = torch.randint(4, 24, (rows, length), generator=torch.Generator().manual_seed(seed))
    residues[:, 7] = TOKEN_ID["X"]
    tokens = torch.cat([torch.full((rows, 1), CLS), residues, torch.full((rows, 1), EOS)], 1)
    tokens[rows // 2 :, 150] = EOS
    tokens[rows // 2 :, 151:] = PAD
    return tokens


def assert_masks_properly(mask):
    """What every masker must do, on 64 proteins."""
    tokens = batch()
    before = tokens.clone()
    corrupted, labels = mask(tokens, torch.Generator().manual_seed(1))
    assert torch.equal(tokens, before)
    chosen = labels != -100
    residue = (tokens >= 4) & (tokens <= 23)
    assert not (chosen & ~residue).any(), "a special token or X is selected"
    assert torch.equal(labels[chosen], tokens[chosen])
    assert torch.equal(corrupted[~chosen], tokens[~chosen])
    assert abs(chosen.sum() / residue.sum() - 0.15) < 0.02
    masked, same = corrupted == MASK, corrupted == tokens
    other = chosen & ~masked & ~same
    assert ((corrupted[other] >= 4) & (corrupted[other] <= 23)).all(), "a special token is drawn as a replacement"
    assert abs(masked.sum() / chosen.sum() - 0.8) < 0.05
    assert abs(other.sum() / chosen.sum() - 0.1 * 19 / 20) < 0.04


def touches_bos(tokens, generator):
    corrupted, labels = pretraining.mask_tokens(tokens, generator)
    corrupted, labels = corrupted.clone(), labels.clone()
    corrupted[0, 0], labels[0, 0] = MASK, CLS
    return corrupted, labels


def draws_specials(tokens, generator):
    corrupted, labels = pretraining.mask_tokens(tokens, generator)
    random = (labels != -100) & (corrupted != MASK) & (corrupted != tokens)
    return torch.where(random, torch.randint(0, 33, tokens.shape, generator=generator), corrupted), labels


def masks_all(tokens, generator):
    corrupted, labels = pretraining.mask_tokens(tokens, generator)
    return corrupted.masked_fill(labels != -100, MASK), labels


def test_masking_is_as_described():
    assert_masks_properly(pretraining.mask_tokens)


@pytest.mark.parametrize("mask", [touches_bos, draws_specials, masks_all])
def test_a_wrong_masker_is_noticed(mask):
    with pytest.raises(AssertionError):
        assert_masks_properly(mask)


def test_masking_depends_on_the_generator_alone():
    tokens, draw = batch(), lambda seed: pretraining.mask_tokens(tokens, torch.Generator().manual_seed(seed))
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = draw(3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, draw(3)))
    assert not torch.equal(first[1], draw(4)[1])


def test_loss_averages_over_the_batch_and_says_when_there_is_nothing():
    logits, labels = torch.randn(2, 3, 33), torch.tensor([[5, -100, -100], [6, 7, 8]])
    log_probs = logits.log_softmax(-1)
    expected = -(log_probs[0, 0, 5] + log_probs[1, 0, 6] + log_probs[1, 1, 7] + log_probs[1, 2, 8]) / 4
    assert pretraining.mlm_loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)
    assert pretraining.perplexity(logits, labels) == pytest.approx(math.exp(expected), rel=1e-5)
    with pytest.raises(ValueError, match="no position is labelled"):
        pretraining.mlm_loss(logits, torch.full((2, 3), -100))


def test_unigram_perplexity():
    assert pretraining.unigram_perplexity([RESIDUES * 1000], [RESIDUES]) == pytest.approx(20)
    # 10 A and no C: with one more of each letter 11/30 and 1/30
    assert pretraining.unigram_perplexity(["A" * 10], ["AC"]) == pytest.approx(math.sqrt(30 / 11 * 30))
    with pytest.raises(ValueError, match="'J' at position 2 of 'sequence 1'"):
        pretraining.unigram_perplexity(["AJ"], ["A"])


def test_crops_hold_the_ends_only_where_they_are():
    tokens = list(range(10))
    assert pretraining.random_crop(tokens, 4, 0.0) == [0, 1, 2, 3]
    assert pretraining.random_crop(tokens, 4, 0.999) == [6, 7, 8, 9]
    assert pretraining.random_crop(tokens, 50, 0.7) == tokens
    starts = {pretraining.random_crop(tokens, 4, u)[0] for u in np.linspace(0, 0.999, 200)}
    assert starts == set(range(7))


def test_masked_perplexity_of_a_model_that_knows_nothing():
    plm = untrained(layers=1, dim=16, heads=2)
    with torch.no_grad():
        for parameter in plm.model.parameters():
            parameter.zero_()
    assert pretraining.masked_perplexity(plm, ["MKTAYIAKQR" * 5, "ACDEFGHIKL"]) == pytest.approx(33, rel=1e-4)


def test_masked_nll_does_not_depend_on_the_company():
    plm, sequences = untrained(layers=1, dim=16, heads=2, seed=3), ["MKTAYIAKQR" * 4, "ACDEFGHIKLMNPQRSTVWY" * 6]
    together, alone = pretraining.masked_nll(plm, sequences), pretraining.masked_nll(plm, sequences[:1])
    assert torch.allclose(together[0], alone[0], atol=1e-5) and len(together[1]) > 0


def test_learning_rate_goes_up_stays_and_goes_down():
    rates = [pretraining.warm_up_and_decay(done) for done in (0, 0.01, 0.02, 0.5, 0.75, 1)]
    assert rates == pytest.approx([0.01, 0.5, 1, 1, 0.5, 0.01])


def sum_loss(model, microbatch):
    corrupted, labels = microbatch
    count = (labels != -100).sum()
    logits = model(input_ids=corrupted, attention_mask=corrupted != PAD).logits
    return pretraining.mlm_loss(logits, labels) * count, count


def test_training_learns_a_planted_motif():
    """Random proteins in which W is always followed by HC: the model must come to know it, and nothing else there is to know."""
    plm, generator = untrained(layers=2, dim=64, heads=4), np.random.default_rng(0)
    trainer = pretraining.Trainer(plm.model.train(), adamw_lr=3e-3, workers=2)

    def protein():
        letters = generator.choice(list("AGVSERTIDPKQNFYML"), 32)
        for at in generator.integers(0, 6, 4) + [0, 8, 16, 24]:
            letters[at : at + 3] = list("WHC")
        return "".join(letters)

    masks = torch.Generator().manual_seed(0)
    for _ in range(150):
        tokens = plm.tokenize([protein() for _ in range(16)])
        trainer.step([pretraining.mask_tokens(part, masks) for part in tokens.split(8)], sum_loss)
    plm.model.eval()
    tokens = plm.tokenize([protein() for _ in range(50)])
    at_h = tokens == TOKEN_ID["H"]
    probability = plm.forward(tokens.masked_fill(at_h, MASK)).logits.softmax(-1)[at_h][:, TOKEN_ID["H"]]
    elsewhere = torch.zeros_like(at_h)
    elsewhere[:, 1] = tokens[:, 1] != TOKEN_ID["W"]
    random = plm.forward(tokens.masked_fill(elsewhere, MASK)).logits.softmax(-1)[elsewhere].gather(1, tokens[elsewhere][:, None])
    assert probability.mean() > 0.8
    assert random.mean() < 0.15


def test_the_number_of_microbatches_does_not_change_a_step():
    tokens, ends = batch(8), []
    for parts, workers in ((1, 1), (4, 2)):
        plm = untrained(layers=1, dim=16, heads=2)
        masked = pretraining.mask_tokens(tokens, torch.Generator().manual_seed(0))
        microbatches = list(zip(*(part.split(len(tokens) // parts) for part in masked)))
        loss = pretraining.Trainer(plm.model, workers=workers).step(microbatches, sum_loss)
        ends.append((loss, plm.model.lm_head.dense.weight.detach()))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-5)
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-5)


# ------------------------------------------------------------------------------------------------- tools/pretrain.py


def smoke(folder):
    command = [sys.executable, str(ROOT / "tools" / "pretrain.py"), "--smoke", str(folder), "--workers", "2"]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)


def finished(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    finished(smoke(tmp_path / "whole"))
    broken = smoke(tmp_path / "broken")
    while not (tmp_path / "broken" / "training_log.jsonl").exists() and broken.poll() is None:
        time.sleep(0.02)
    broken.send_signal(signal.SIGKILL)
    broken.communicate()
    assert broken.returncode == -signal.SIGKILL, "it ended before it could be killed"
    reached = torch.load(tmp_path / "broken" / "state.pt", weights_only=True)["step"]
    finished(smoke(tmp_path / "broken"))
    whole, broken = ([json.loads(line) for line in (tmp_path / name / "training_log.jsonl").read_text().splitlines()]
                     for name in ("whole", "broken"))
    assert 0 < reached < whole[-1]["step"]
    untimed = [[{k: v for k, v in line.items() if "second" not in k} for line in log] for log in (whole, broken)]
    assert untimed[0] == untimed[1]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]


@pytest.fixture(scope="module")
def corpus():
    import pretrain

    return pretrain.Corpus(pretrain.smoke_corpus(), seed=0)


def test_a_step_draws_the_same_whenever_it_is_drawn(corpus):
    first, again, other = corpus.draw(7, 20, 64), corpus.draw(7, 20, 64), corpus.draw(8, 20, 64)
    assert all(np.array_equal(a, b) for one, two in zip(first, again) for a, b in zip(one, two))
    assert not all(np.array_equal(one[0], two[0]) for one, two in zip(first, other))


def test_crops_are_pieces_of_the_corpus(corpus):
    text = "".join(map(chr, corpus.tokens))
    for tokens, levels in (row for step in range(20) for row in corpus.draw(step, 16, 64)):
        inner = tokens[(tokens != CLS) & (tokens != EOS)]
        assert len(tokens) <= 64 and "".join(map(chr, inner)) in text
        assert CLS not in tokens[1:] and EOS not in tokens[:-1]
        assert not levels[(tokens == CLS) | (tokens == EOS)].any()


def test_profiles_lie_beside_their_own_residues(corpus):
    chains = datasets.chains("chains_train")[:20]
    for chain in chains:
        protein = next(i for i in range(len(corpus.length)) if corpus.has_profile[i]
                       and corpus.length[i] == len(chain["sequence"])
                       and "".join(RESIDUES[t - 4] for t in corpus.tokens[corpus.first[i] :][: corpus.length[i]]) == chain["sequence"])
        tokens, levels = corpus.crop(protein, 4000, 0)
        frequencies = np.square(levels[1:-1].astype(float))
        frequencies /= frequencies.sum(1, keepdims=True)
        assert len(tokens) == len(chain["sequence"]) + 2
        assert np.abs(frequencies - chain["profile"] / chain["profile"].sum(1, keepdims=True)).max() < 0.06


def test_loss_weighs_letters_and_profiles_as_described():
    import pretrain

    class Uniform(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            assert torch.equal(attention_mask, (input_ids != PAD).long())
            return type("Output", (), {"logits": torch.zeros(*input_ids.shape, 33)})

    labels = torch.tensor([[-100, 5, -100, 9, -100]])
    levels = torch.zeros(1, 5, 20, dtype=torch.uint8)
    levels[0, 2:4, 3] = 31
    total, weight = pretrain.loss(Uniform(), (torch.tensor([[0, 32, 7, 32, 2]]), labels, levels))
    assert weight.item() == pytest.approx(2 + pretrain.VISIBLE)
    assert total.item() == pytest.approx((2 + pretrain.VISIBLE) * math.log(33), rel=1e-5)


# ---------------------------------------------------------------------------------------------- tools/pack_corpus.py


def test_profile_of_a_family_member_counts_close_homologs_most(monkeypatch):
    import pack_corpus

    hits = [("q", "near", 1.0, 1, "C-DE", "CWDA"),  # residues 2 to 4 of the query; W stands beside a gap
            ("q", "far", 1 - pack_corpus.SHARPNESS, 0, "ACD", "A-V"),
            ("q", "q", 1.0, 0, "ACDE", "ACDE")]
    monkeypatch.setattr(pack_corpus, "homologs", lambda queries, targets: iter(hits))
    profile = pack_corpus.family_profiles({"q": "ACDE"}, {})["q"]
    expected = np.zeros((4, 20))
    for position, letter, weight in [(0, "A", 1 + math.exp(-1)), (1, "C", 2), (2, "D", 2), (2, "V", math.exp(-1)), (3, "E", 1),
                                     (3, "A", 1)]:
        expected[position, RESIDUES.index(letter)] = weight
    assert np.allclose(profile, expected)


def test_what_the_course_measures_on_stays_out(monkeypatch):
    import pack_corpus

    general = next(iter(datasets.load("pretrain_heldout").values()))
    member = next(iter(datasets.load("family_heldout").values()))
    course = next(chain["sequence"] for chain in datasets.chains("chains_test") if chain["id"] == "1M40_A")
    asked = {}

    def search(tool, queries, targets, options, result):
        asked.update(queries)
        return [["close"]] if dict(zip(options[::2], options[1::2]))["--min-seq-id"] == "0.5" else []

    monkeypatch.setattr(pack_corpus, "mmseqs", search)
    proteins = {"general": general, "member": member, "tem": course, "close": "MKT", "other": "MKV"}
    assert pack_corpus.left_out(proteins) == {"general", "member", "tem", "close"}
    assert general in asked.values()
    assert course not in asked.values(), "the relatives of a course chain are what the course trains on"


def test_levels_keep_frequencies():
    import pack_corpus

    profile = np.random.default_rng(0).dirichlet(np.full(20, 0.2), 50)
    profile[3] = 0
    kept = pack_corpus.levels(7 * profile, 31)
    assert kept.dtype == np.uint8 and not kept[3].any() and kept.max() <= 31
    back = kept.astype(float) ** 2 / np.maximum(1, (kept.astype(float) ** 2).sum(1, keepdims=True))
    assert np.abs(back - profile).max() < 0.05


def test_clusters_can_be_thinned_out():
    import pack_corpus

    proteins = {name: f"M{name}" for name in "ACDEF"}
    cluster_of = {"A": "A", "C": "A", "D": "A", "E": "E", "F": "F"}
    rows = list(pack_corpus.general_rows(proteins, cluster_of, 2, 2))
    assert len(rows) == 2 and {sequence for *_, sequence, _ in rows} < {"MA", "MC", "MD"}
    assert len({group for _, group, *_ in pack_corpus.general_rows(proteins, cluster_of, 1, 1)}) == 3


def test_a_continued_run_says_where():
    from pretrain import raised_again

    rates = [0.2, 0.7, 1.0, 1.0, 0.5, 0.01, 0.8, 0.4, 0.01, 0.3]
    assert raised_again([{"step": 10 * i, "rate": rate} for i, rate in enumerate(rates)]) == [50, 80]
    assert raised_again([{"step": 10 * i, "rate": rate} for i, rate in enumerate(rates[:6])]) == []


def test_weights_are_halved_and_angles_are_not(tmp_path):
    from pretrain import halved
    from safetensors.torch import load_file

    plm = untrained(layers=2, dim=32, heads=2)
    halved(plm.model).save_pretrained(tmp_path)
    angles = {name: value for name, value in plm.model.named_buffers() if name.endswith("inv_freq")}
    stored = load_file(tmp_path / "model.safetensors")
    kept = [value for name, value in stored.items() if name.endswith("inv_freq")]
    assert kept and all(torch.equal(value, next(iter(angles.values()))) for value in kept)
    assert {value.dtype for name, value in stored.items() if not name.endswith("inv_freq")} == {torch.float16}
    read = EsmForMaskedLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert {name: torch.equal(value, dict(read.named_buffers())[name]) for name, value in angles.items()} == dict.fromkeys(angles, True)
