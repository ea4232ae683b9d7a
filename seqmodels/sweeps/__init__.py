"""Sweeps: many runs of one config, with keys drawn from ranges. `study` needs optuna, an extra."""
