"""Training without self-deception: walk-forward folds, a leak auditor, ensembles, intervals, and honest verdicts."""
