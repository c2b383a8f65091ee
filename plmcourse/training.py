"""One fit loop for every classifier of the course. It is short because it is meant to be read."""
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from tqdm.auto import tqdm

from plmcourse.classifiers import align_labels
from plmcourse.embeddings import batches
from plmcourse.sequences import IGNORE, PAD


def examples(plm, sequences, labels):
    """Pairs (tokens [L + 2], label) as :func:`fit` takes them.

    ``labels`` has one int per protein, or one int array [L] per protein. Raises a ValueError for a bad sequence, or where the
    numbers do not match.
    """
    if len(sequences) != len(labels):
        raise ValueError(f"there are {len(sequences)} sequences and {len(labels)} labels")
    found = []
    for number, (sequence, label) in enumerate(zip(sequences, labels), start=1):
        if np.ndim(label) and len(label) != len(sequence):
            raise ValueError(f"sequence {number} has {len(sequence)} residues and {len(label)} labels")
        found.append((plm.tokenize([sequence], [f"sequence {number}"])[0], label))
    return found


def collate(pairs):
    """Pad a list of examples to (tokens [B, T], labels [B] or [B, T]); -100 where a token has no label."""
    tokens = torch.nn.utils.rnn.pad_sequence([row for row, _ in pairs], batch_first=True, padding_value=PAD)
    labels = [label for _, label in pairs]
    return tokens, align_labels(labels, tokens) if np.ndim(labels[0]) else torch.as_tensor(labels, device=tokens.device)


def class_logits(model, tokens):
    """Logits of a classifier, in float32: one of the course's, which takes tokens, or one of transformers or peft."""
    if hasattr(model, "config"):
        return model(input_ids=tokens, attention_mask=tokens != PAD).logits.float()
    return model(tokens).float()


@torch.no_grad()
def predict(model, data, tokens_per_batch=2048):
    """Class probabilities, in the order of the examples: a list of float arrays, [classes] or [L, classes] each."""
    model.eval()
    found = [None] * len(data)
    for rows in batches([len(tokens) for tokens, _ in data], tokens_per_batch):
        tokens, labels = collate([data[i] for i in rows])
        probabilities = class_logits(model, tokens).softmax(-1)
        for place, i in enumerate(rows):
            own = probabilities[place]
            found[i] = (own if labels.ndim == 1 else own[labels[place] != IGNORE]).cpu().numpy()
    return found


def evaluate(model, data, weights=None):
    """Mean cross-entropy in nats, its classes weighted as in :func:`fit`, and macro-F1, over all proteins or residues: two floats."""
    if not data:
        raise ValueError("there are no examples to evaluate the model on")
    probabilities = np.concatenate([np.atleast_2d(rows) for rows in predict(model, data)])
    labels = np.concatenate([np.atleast_1d(label) for _, label in data])
    classes = range(probabilities.shape[1])
    if labels.max() >= len(classes) or labels.min() < 0:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, the model has classes 0 to {len(classes) - 1}")
    nll = -np.log(probabilities[np.arange(len(labels)), labels])
    loss = np.average(nll, weights=None if weights is None else np.asarray(weights)[labels])
    return float(loss), float(f1_score(labels, probabilities.argmax(1), labels=classes, average="macro", zero_division=0))


def fit(model, train, validation, epochs=5, lr=1e-3, weights=None, patience=2, seed=0, tokens_per_batch=1024, accumulate=1,
        checkpoint=None):
    """Train what is trainable, and keep the weights that did best on the validation set, also when interrupted.

    Parameters
    ----------
    model : nn.Module
        Trained in place, on its own device and in its own precision; left in eval mode.
    train, validation : list
        From :func:`examples`.
    epochs, lr : int, float
        Passes over ``train``, and the learning rate of AdamW.
    weights : array-like, shape [classes], optional
        Weight of each class in the loss; 1 by default.
    patience, seed : int
        Stop after so many epochs without a better macro-F1 on ``validation``; the seed decides the order of batches and dropout.
    tokens_per_batch, accumulate : int
        Padded tokens at once, and batches per step: 4 of 1,024 make the step of one of 4,096, in a quarter of its memory.
    checkpoint : path, optional
        Written after each epoch; where it exists, training goes on from it, as if it had never stopped.

    Returns
    -------
    pandas.DataFrame
        A row per epoch, 0 before training: train_loss, validation_loss (nats per label), macro_f1 on ``validation``. A ValueError
        says when nothing is trainable, a set is empty, a label is no class, or the checkpoint is another run's.
    """
    settings = dict(lr=lr, seed=seed, tokens_per_batch=tokens_per_batch, accumulate=accumulate)
    run = Run(model, validation, settings, weights, checkpoint)
    try:
        done = run.epoch * len(train)
        with tqdm(total=epochs * len(train), initial=done, unit="protein", leave=False, mininterval=1) as bar:
            while run.epoch < epochs and run.since_best < patience:
                run.one_epoch(train, bar)
    except KeyboardInterrupt:
        print(f"Interrupted in epoch {run.epoch + 1}. The model has the weights of epoch {run.best_epoch}, the best so far.")
    finally:
        run.restore_best()
    return pd.DataFrame(run.history).set_index("epoch")


class Run:
    """What :func:`fit` remembers from epoch to epoch: the optimizer, the scores so far, and the best weights."""

    def __init__(self, model, validation, settings, weights, checkpoint):
        self.weights = None if weights is None else [float(weight) for weight in weights]
        self.model, self.validation, self.settings = model, validation, settings | dict(weights=self.weights)
        self.checkpoint = checkpoint and Path(checkpoint)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.trained:
            raise ValueError("no parameter of the model is trainable: thaw something, the head at least")
        self.device = next(iter(self.trained.values())).device
        self.optimizer = torch.optim.AdamW(self.trained.values(), lr=settings["lr"])
        self.history = []
        if self.checkpoint and self.checkpoint.exists():
            self.resume()
        else:
            self.judge(train_loss=float("nan"))

    @property
    def epoch(self):
        return len(self.history) - 1

    @property
    def best_epoch(self):
        return int(np.argmax([row["macro_f1"] for row in self.history]))  # the first of equals

    @property
    def since_best(self):
        return self.epoch - self.best_epoch

    def one_epoch(self, train, bar):
        """One pass over the training set, a look at the validation set, a checkpoint."""
        if not train:
            raise ValueError("the training set is empty")
        order = np.random.default_rng([self.settings["seed"], self.epoch])
        shuffled = [train[i] for i in order.permutation(len(train))]
        groups = batches([len(tokens) for tokens, _ in shuffled], self.settings["tokens_per_batch"])
        groups = [[shuffled[i] for i in groups[k]] for k in order.permutation(len(groups))]
        accumulate, total, count = self.settings["accumulate"], 0.0, 0.0
        self.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(order.integers(2**31))  # dropout
            for first in range(0, len(groups), accumulate):
                chosen = groups[first:first + accumulate]
                loss, weight = self.step(chosen)
                total, count = total + loss, count + weight
                shown = dict(epoch=self.epoch + 1, loss=f"{total / count:.3f}", macro_f1=f"{self.history[-1]['macro_f1']:.3f}")
                bar.set_postfix(shown, refresh=False)  # once a second is enough: each redrawing is a message to the browser
                bar.update(sum(map(len, chosen)))
        self.judge(train_loss=total / count)
        self.save()

    def step(self, groups):
        """One update from one or more batches: the summed loss and the weight of the labels that it is a sum over."""
        summed = [self.backward(*collate(group)) for group in groups]
        loss, weight = (sum(part) for part in zip(*summed))
        for parameter in self.trained.values():
            if parameter.grad is not None:
                parameter.grad /= weight
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, weight

    def backward(self, tokens, labels):
        """Gradients of the summed loss of one batch."""
        logits = class_logits(self.model, tokens).flatten(0, -2)
        labels = labels.flatten()
        weights = logits.new_ones(logits.shape[-1]) if self.weights is None else logits.new_tensor(self.weights)
        loss = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
        loss.backward()
        return loss.item(), weights[labels[labels != IGNORE]].sum().item()

    def judge(self, train_loss):
        """Score on the validation set; weights that do best so far are set aside."""
        loss, macro_f1 = evaluate(self.model, self.validation, self.weights)
        self.history.append(dict(epoch=len(self.history), train_loss=train_loss, validation_loss=loss, macro_f1=macro_f1))
        if self.since_best == 0:
            self.best = {name: p.detach().clone() for name, p in self.trained.items()}

    def restore_best(self):
        """Put the best weights back into the model."""
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(self.best[name])
        self.optimizer.zero_grad()
        self.model.eval()

    def save(self):
        """Write everything that the next epoch depends on, in one step: a kill leaves the old file or the new one."""
        if self.checkpoint:
            state = dict(settings=self.settings, history=self.history, best=self.best, optimizer=self.optimizer.state_dict(),
                         trained={name: p.detach() for name, p in self.trained.items()})
            unfinished = self.checkpoint.with_name(self.checkpoint.name + ".part")
            torch.save(state, unfinished)
            os.replace(unfinished, self.checkpoint)

    def resume(self):
        """Go on from a checkpoint of the same run."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        for name, value in self.settings.items():
            if state["settings"][name] != value:
                raise ValueError(f"{self.checkpoint} comes from a run with {name} = {state['settings'][name]}, this one has "
                                 f"{value}: delete the file to start anew")
        if state["trained"].keys() != self.trained.keys():
            raise ValueError(f"{self.checkpoint} comes from a run that trained other parameters: delete the file to start anew")
        self.history, self.best = state["history"], state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state["trained"][name])
