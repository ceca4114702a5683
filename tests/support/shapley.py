"""Path-dependent Shapley values of one tree straight from their definition, in exponential time."""

from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from bundling.trees.ensemble import Tree


def random_tree(rng: np.random.Generator, features: int, depth: int, targets: int = 1) -> Tree:
    """A tree with thresholds among the halves, missing directions and whole covers."""
    rows: list[list[float]] = []

    def grow(level: int, cover: int) -> int:
        place = len(rows)
        if level == depth or cover < 2 or (level and rng.random() < 0.2):
            rows.append([-1, 0.0, -1, -1, 0, cover])
            return place
        share = int(rng.integers(1, cover))
        feature, threshold = int(rng.integers(features)), float(rng.integers(-3, 4)) / 2
        rows.append([feature, threshold, 0, 0, int(rng.integers(2)), cover])
        rows[place][2] = grow(level + 1, share)
        rows[place][3] = grow(level + 1, cover - share)
        return place

    grow(0, int(rng.integers(20, 200)))
    table = np.array(rows)
    leaf = table[:, 0] == -1
    value = np.where(leaf[:, np.newaxis], rng.normal(size=(len(rows), targets)), 0.0)
    feature, left, right = (table[:, i].astype(np.int64) for i in (0, 2, 3))
    missing = table[:, 4].astype(np.bool_)
    return Tree(feature, table[:, 1], left, right, missing, value, table[:, 5])


def expectation(
    tree: Tree, row: NDArray[np.float64], known: frozenset[int], node: int = 0
) -> float:
    """The tree's mean (target 0) with only the `known` features of the row, others by cover."""
    if tree.left[node] == -1:
        return float(tree.value[node, 0])
    left, right = int(tree.left[node]), int(tree.right[node])
    feature = int(tree.feature[node])
    if feature in known:
        value = row[feature]
        goes_left = tree.missing_left[node] if np.isnan(value) else value <= tree.threshold[node]
        return expectation(tree, row, known, left if goes_left else right)
    weight = tree.cover[left] / tree.cover[node]
    return float(
        weight * expectation(tree, row, known, left)
        + (1.0 - weight) * expectation(tree, row, known, right)
    )


def shapley(tree: Tree, row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapley (1953): the weighted mean over all sets of what a feature adds to a set."""
    count = len(row)
    values = np.zeros(count)
    for feature in range(count):
        others = [i for i in range(count) if i != feature]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                known = frozenset(chosen)
                added = expectation(tree, row, known | {feature}) - expectation(tree, row, known)
                values[feature] += weight * added
    return values
