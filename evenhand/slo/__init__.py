"""Service levels: objectives, error budgets, burn rates, and what little traffic can say."""
