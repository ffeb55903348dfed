"""Top-two Thompson sampling as weights: traffic goes to who may be the best, and each weight is a known propensity.

Russo (2020): draw the best under the posterior; with probability `leader` serve it, otherwise draw again until another
one is the best, and serve that. Where p_k is the posterior probability that k is the best, it serves k with

    w_k = leader p_k + (1 - leader) sum over j != k of p_j p_k / (1 - p_j)

Nothing is drawn: units are hashed with these weights, so the propensity of each answer is in the log, and a replay
gives the same ones. Nobody falls below `minimum_share`, or what guards a variant would starve.

What it costs: weights that follow the data bias means. Paired differences are not touched, because every variant
predicts on every request whoever serves. What only the serving variant knows (response times, users' metrics) is: a
variant that was unlucky gets less traffic and less chance to recover, so its mean stays too low. It is off by default.
"""

from collections.abc import Mapping

from evenhand.experiments.experiment import Bandit

SHARES = 10_000


def top_two(best: Mapping[str, float], bandit: Bandit) -> dict[str, int]:
    """Weights, of ten thousand, from each variant's probability to be the best.

    >>> top_two({"a": 0.5, "b": 0.4, "c": 0.1}, Bandit())
    {'a': 4561, 'b': 3976, 'c': 1463}
    >>> top_two({"a": 1.0, "b": 0.0}, Bandit())
    {'a': 7700, 'b': 2300}
    """
    total = sum(best.values())
    p = {name: max(value / total, 1e-9) for name, value in best.items()}
    raw = {
        name: bandit.leader * own
        + (1.0 - bandit.leader) * sum(other * own / max(1.0 - other, 1e-9) for of, other in p.items() if of != name)
        for name, own in p.items()
    }
    floor = min(bandit.minimum_share, 1.0 / len(p))
    free = 1.0 - floor * len(p)
    scale = sum(raw.values())
    exact = {name: SHARES * (floor + free * share / scale) for name, share in raw.items()}
    weights = {name: int(value) for name, value in exact.items()}
    largest = sorted(exact, key=lambda name: (weights[name] - exact[name], name))
    for name in largest[: SHARES - sum(weights.values())]:
        weights[name] += 1
    return weights
