"""What ville 0.1.0 says of the boundary of the asymptotic confidence sequence, as JSON."""

# mypy: ignore-errors

import json

import samples
from ville._boundaries import normal_mixture
from ville.means import AsymptoticCS

CASES = [
    {"alpha": alpha, "rho": rho, "n": n, "sum": float(normal_mixture(float(n), alpha, rho))}
    for alpha in (0.001, 0.01, 0.05, 0.1)
    for rho in (20.0, 100.0, 1000.0)
    for n in (30, 100, 1000, 10_000, 1_000_000)
]
sequence = AsymptoticCS(alpha=0.05, t_opt=500, min_samples=100)
values = samples.pair(0)[0]
sequence.fit(values)
lower, upper = sequence.interval()
print(
    json.dumps(
        {
            "cases": CASES,
            "rho": float(sequence.rho_),
            "interval": [float(lower), float(upper)],
        }
    )
)
