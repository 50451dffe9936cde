"""The merges whose outputs are compared: mergekit's configurations, without the models' places."""

# name -> (method, parameters of every expert, parameters of all); a base is given where the method takes one,
# unless a False follows.
# Slices have, in place of the parameters of every expert, a list of slices of (model, first layer, end, parameters).
DETERMINISTIC = {
    "linear, equal weights": ("linear", [{"weight": 1.0}] * 3, {}),
    "linear, unequal weights": ("linear", [{"weight": 0.5}, {"weight": 0.3}, {"weight": 0.35}], {}),
    "linear, not normalized": ("linear", [{"weight": 0.7}, {"weight": 0.2}, {"weight": 0.31}], {"normalize": False}),
    "linear, filters and gradients": (
        "linear",
        [{"weight": [{"filter": "self_attn", "value": [0.2, 0.9]}, {"value": 0.4}]}, {"weight": [1.0, 0.1, 0.6]}],
        {}),
    "slerp, t 0.5": ("slerp", [{}], {"t": 0.5}),
    "slerp, t 0.3": ("slerp", [{}], {"t": 0.3}),
    "slerp, filters and gradients": (
        "slerp", [{}],
        {"t": [{"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]},
               {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]}, {"value": 0.4}]}),
    "task arithmetic, weights 1": ("task_arithmetic", [{"weight": 1.0}] * 3, {}),
    "task arithmetic, weights, lambda": (
        "task_arithmetic", [{"weight": 0.6}, {"weight": 0.3}, {"weight": -0.2}], {"lambda": 0.7}),
    "task arithmetic, normalized": (
        "task_arithmetic", [{"weight": 0.6}, {"weight": 0.3}, {"weight": 0.45}], {"normalize": True}),
    "ties, density 0.2": ("ties", [{"weight": 1.0, "density": 0.2}] * 3, {}),
    "ties, densities and weights": (
        "ties",
        [{"weight": 1.0, "density": 0.2}, {"weight": 0.5, "density": 0.5}, {"weight": 0.3, "density": 1.0}], {}),
    "ties, gradients": (
        "ties",
        [{"weight": [0.2, 0.9], "density": 0.3}, {"weight": 0.5, "density": [0.9, 0.1, 0.4]},
         {"weight": [{"filter": "mlp", "value": 0.7}, {"value": 0.25}], "density": 0.4}], {}),
    "ties, not normalized, lambda": (
        "ties", [{"weight": 0.6, "density": 0.3}] * 3, {"normalize": False, "lambda": 0.8}),
    "breadcrumbs, density 0.3": ("breadcrumbs", [{"weight": 0.5, "density": 0.3}] * 3, {}),
    "breadcrumbs, densities, gammas, normalized": (
        "breadcrumbs",
        [{"weight": 0.6, "density": 0.1, "gamma": 0.05}, {"weight": 0.3, "density": 0.995, "gamma": 0.02},
         {"weight": [0.2, 0.9], "density": 1.0}],
        {"normalize": True, "lambda": 0.8}),
    "breadcrumbs_ties, density 0.3": ("breadcrumbs_ties", [{"weight": 0.5, "density": 0.3, "gamma": 0.001}] * 3, {}),
    "breadcrumbs_ties, normalized": (
        "breadcrumbs_ties", [{"weight": 0.6, "density": 0.5}, {"weight": 0.3, "density": 0.2}], {"normalize": True}),
    "breadcrumbs, rescaled": ("breadcrumbs", [{"weight": 0.5, "density": 0.3}] * 2, {"rescale": True}),
    "della, nothing dropped": ("della", [{"weight": 0.6}, {"weight": 0.3}, {"weight": -0.2}], {"lambda": 0.7}),
    "della_linear, nothing dropped": ("della_linear", [{"weight": 0.6}, {"weight": 0.3}, {"weight": -0.2}], {}),
    "sce": ("sce", [{}] * 3, {}),
    "sce, a tenth selected": ("sce", [{}] * 3, {"select_topk": 0.1}),
    "ram": ("ram", [{}] * 3, {}),
    "ram, epsilon 0.002": ("ram", [{}] * 3, {"epsilon": 0.002}),
    "ramplus_tl": ("ramplus_tl", [{}] * 3, {"epsilon": 0.002, "r": 0.3, "alpha": 0.9}),
    "model_stock": ("model_stock", [{}] * 3, {}),
    "model_stock, two experts": ("model_stock", [{}] * 2, {}),
    "model_stock, filter-wise": ("model_stock", [{}] * 3, {"filter_wise": True}),
    "nuslerp": ("nuslerp", [{"weight": 0.7}, {"weight": 0.2}], {}, False),
    "nuslerp, task vectors": ("nuslerp", [{"weight": 0.7}, {"weight": 0.2}], {}),
    "nuslerp, rows": ("nuslerp", [{"weight": 0.7}, {"weight": 0.2}], {"nuslerp_flatten": False}),
    "nuslerp, columns": (
        "nuslerp", [{"weight": 0.7}, {"weight": [0.2, 0.9]}], {"nuslerp_flatten": False, "nuslerp_row_wise": True}),
    "nearswap, t 0.001": ("nearswap", [{}], {"t": 0.001}),
    "nearswap, filters and gradients": (
        "nearswap", [{}], {"t": [{"filter": "mlp", "value": [0.0001, 0.01]}, {"value": 0.002}]}),
    "arcee_fusion, tensors of up to 1,000,000 entries": ("arcee_fusion", [{}], {}),
    "passthrough": ("passthrough", [{}], {}),
    "slices, stacked": (
        "passthrough",
        [[("expert1", 0, 3, {})], [("expert2", 1, 4, {"scale": [{"filter": "o_proj", "value": 0.3}, {"value": 1.0}]})],
         [("expert1", 2, 4, {})]], {}),
    "slices, slerp": (
        "slerp", [[("base", 0, 2, {}), ("expert1", 1, 3, {})], [("expert2", 0, 3, {}), ("base", 1, 4, {})]],
        {"t": [{"filter": "mlp", "value": [0.2, 0.8]}, {"value": 0.4}]}),
    "slices, ties": (
        "ties",
        [[("base", 0, 4, {}), ("expert1", 0, 4, {"weight": [1, 0.5], "density": 1.0}),
          ("expert2", 0, 4, {"weight": 0.4, "density": 1.0})],
         [("base", 2, 3, {}), ("expert3", 2, 3, {"weight": 0.7, "density": 1.0})]], {}),
    "passthrough, scale": ("passthrough", [{}], {"scale": [{"filter": "o_proj", "value": 0.3}, {"value": 1.0}]}),
}

# Merges in which torch splits a sum among its threads, so that mergekit does not always agree with itself.
THREADED = {
    "slerp, t 0.3": DETERMINISTIC["slerp, t 0.3"],
    "ties, rescaled": ("ties", [{"weight": 1.0, "density": 0.3}] * 3, {"rescale": True}),
}

DENSITY = 0.3
RANDOM = {
    "dare_linear, one expert": ("dare_linear", [{"weight": 1.0, "density": DENSITY}], {}),
    "dare_ties, one expert": ("dare_ties", [{"weight": 1.0, "density": DENSITY}], {}),
    "dare_linear": ("dare_linear", [{"weight": 0.5, "density": DENSITY}] * 3, {}),
    "dare_ties": ("dare_ties", [{"weight": 0.5, "density": DENSITY}] * 3, {}),
    "della_linear": ("della_linear", [{"weight": 0.5, "density": DENSITY}] * 3, {}),
    "della": ("della", [{"weight": 0.5, "density": DENSITY}] * 3, {}),
}

# mergekit writes float32 where the configuration has no out_dtype, whatever its dtype.
FLOAT32_RESULTS = ("ramplus_tl", "arcee_fusion")

WITHOUT_BASE = ("linear", "passthrough")


def configuration(case, folder, dtypes):
    """mergekit's configuration of a case as plain data, over the checkpoints in `folder`."""
    method, experts, parameters, *base = case
    config = {"merge_method": method}
    if base != [False] and method not in WITHOUT_BASE:
        config["base_model"] = str(folder / "base")

    def model(name, parameters):
        return {"model": str(folder / name), **({"parameters": parameters} if parameters else {})}

    if isinstance(experts[0], list):
        config["slices"] = [{"sources": [{**model(name, own), "layer_range": [first, end]} for name, first, end, own in s]}
                            for s in experts]
    else:
        config["models"] = [model(f"expert{i + 1}", p) for i, p in enumerate(experts)]
    if parameters:
        config["parameters"] = parameters
    if method in FLOAT32_RESULTS:
        config["out_dtype"] = dtypes["dtype"]
    return {**config, **dtypes}
