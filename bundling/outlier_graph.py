"""An IsolationForest as one ONNX tree ensemble.

The anomaly score is that of Liu, Ting and Zhou, "Isolation Forest" (ICDM 2008), as scikit-learn
computes it: s(x) = 2 ** (-E[h(x)] / c(n)), the mean path length over all trees divided by the
average path length of an unsuccessful search among n samples. scikit-learn's `score_samples` is
-s(x), and a record is an outlier where s(x) > -offset_.
"""

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper


def isolation_forest_graph(forest: Any) -> ModelProto:
    """Input `numeric` float64 (records, features), output float64 (records, 1)."""
    nodes, values, leaves, weights = _trees(forest)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["numeric"],
        ["path_length"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        nodes_values_as_tensor=helper.make_tensor(
            "thresholds", TensorProto.DOUBLE, [len(values)], values
        ),
        target_weights_as_tensor=helper.make_tensor(
            "path_lengths", TensorProto.DOUBLE, [len(weights)], weights
        ),
        **nodes,
        **leaves,
    )
    # The ensemble's output is float32 whatever its input is; the rest is done in float64.
    body = [
        ensemble,
        helper.make_node("Cast", ["path_length"], ["path_length_64"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["path_length_64", "scale"], ["exponent"]),
        helper.make_node("Pow", ["two", "exponent"], ["anomaly"]),
    ]
    scale = -1.0 / (len(forest.estimators_) * _average_path_length(forest.max_samples_))
    graph = helper.make_graph(
        body,
        "isolation_forest",
        [
            helper.make_tensor_value_info(
                "numeric", TensorProto.DOUBLE, [None, int(forest.n_features_in_)]
            )
        ],
        [helper.make_tensor_value_info("anomaly", TensorProto.DOUBLE, [None, 1])],
        [
            helper.make_tensor("scale", TensorProto.DOUBLE, [1], [scale]),
            helper.make_tensor("two", TensorProto.DOUBLE, [1], [2.0]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _trees(forest: Any) -> tuple[dict[str, list[Any]], list[float], dict[str, Any], list[float]]:
    nodes: dict[str, list[Any]] = {
        f"nodes_{key}": []
        for key in ("treeids", "nodeids", "featureids", "modes", "truenodeids", "falsenodeids")
    }
    thresholds: list[float] = []
    leaf_trees: list[int] = []
    leaf_nodes: list[int] = []
    lengths: list[float] = []
    pairs = zip(forest.estimators_, forest.estimators_features_, strict=True)
    for number, (estimator, features) in enumerate(pairs):
        tree = estimator.tree_
        depths = _depths(tree)
        for node in range(tree.node_count):
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            is_leaf = left == right
            nodes["nodes_treeids"].append(number)
            nodes["nodes_nodeids"].append(node)
            nodes["nodes_featureids"].append(0 if is_leaf else int(features[tree.feature[node]]))
            nodes["nodes_modes"].append("LEAF" if is_leaf else "BRANCH_LEQ")
            nodes["nodes_truenodeids"].append(0 if is_leaf else left)
            nodes["nodes_falsenodeids"].append(0 if is_leaf else right)
            thresholds.append(0.0 if is_leaf else float(tree.threshold[node]))
            if is_leaf:
                leaf_trees.append(number)
                leaf_nodes.append(node)
                lengths.append(depths[node] + _average_path_length(int(tree.n_node_samples[node])))
    leaves = {
        "target_treeids": leaf_trees,
        "target_nodeids": leaf_nodes,
        "target_ids": [0] * len(leaf_nodes),
    }
    return nodes, thresholds, leaves, lengths


def _depths(tree: Any) -> list[int]:
    depths = [0] * int(tree.node_count)
    for node in range(tree.node_count):  # children always come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depths[child] = depths[node] + 1
    return depths


def _average_path_length(samples: int) -> float:
    """c(n) of the paper: 2 H(n - 1) - 2 (n - 1) / n, with H(i) close to ln(i) + Euler's gamma."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)
