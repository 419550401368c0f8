"""Sampling from the definitions: plain Python, one candidate after the other, float64."""

from __future__ import annotations

import math


def softmax(logits):
    top = max(logits)
    if top == -math.inf:
        return [0.0] * len(logits)
    weights = [math.exp(x - top) for x in logits]
    total = math.fsum(weights)
    return [w / total for w in weights]


def entropy(probs):
    return -math.fsum(p * math.log(p) for p in probs if p > 0)


def top_k(logits, k):
    if k >= len(logits):
        return [True] * len(logits)
    floor = sorted(logits, reverse=True)[k - 1]
    return [x >= floor for x in logits]


def descending(probs):
    return sorted(range(len(probs)), key=lambda i: (-probs[i], i))


def top_p(logits, p, least=1):
    """The smallest head of the ranking such that the tail's mass is at most 1 - p."""
    probs = softmax(logits)
    keep, tail = [True] * len(probs), 0.0
    for place, i in reversed(list(enumerate(descending(probs)))):
        tail += probs[i]
        if tail > 1 - p or place < least:
            break
        keep[i] = False
    return keep


def min_p(logits, p, least=1):
    probs = softmax(logits)
    return [q >= p * max(probs) or kept for q, kept in zip(probs, top_k(logits, least), strict=True)]


def typical(logits, p, least=1):
    probs = softmax(logits)
    h = entropy(probs)
    shift = [abs(-math.log(q) - h) if q > 0 else math.inf for q in probs]
    order = sorted(range(len(probs)), key=lambda i: (shift[i], i))
    mass, edge = 0.0, shift[order[-1]]
    for i in order:
        mass += probs[i]
        if mass >= p:
            edge = shift[i]
            break
    return [s <= edge or i in order[:least] for i, s in enumerate(shift)]


def epsilon(logits, eps, least=1):
    return [q >= eps or k for q, k in zip(softmax(logits), top_k(logits, least), strict=True)]


def eta(logits, eps, least=1):
    probs = softmax(logits)
    return epsilon(logits, min(eps, math.sqrt(eps) * math.exp(-entropy(probs))), least)


def xtc(logits, threshold):
    probs = softmax(logits)
    above = [i for i in descending(probs) if probs[i] >= threshold]
    return [i not in above[:-1] for i in range(len(probs))]


def repetition(logits, prefix, penalty):
    return [(x * penalty if x < 0 else x / penalty) if i in prefix else x for i, x in enumerate(logits)]


def counts(logits, output, frequency, presence):
    return [x - (output.count(i) * frequency + presence if i in output else 0) for i, x in enumerate(logits)]


def repeats(prefix, vocab, breakers=()):
    """For each token, the longest run that ends the prefix and stands before it somewhere earlier."""
    longest = dict.fromkeys(range(vocab), 0)
    for at in range(1, len(prefix)):
        n = 0
        while (
            n < at
            and prefix[at - 1 - n] == prefix[len(prefix) - 1 - n]
            and prefix[at - 1 - n] not in breakers
        ):
            n += 1
        longest[prefix[at]] = max(longest[prefix[at]], n)
    return longest


def ngram_banned(prefix, n):
    """Tokens that would make an n-gram which the prefix holds."""
    grams = {tuple(prefix[i : i + n]) for i in range(len(prefix) - n + 1)}
    begun = tuple(prefix[len(prefix) - n + 1 :])
    return {gram[-1] for gram in grams if gram[:-1] == begun}
