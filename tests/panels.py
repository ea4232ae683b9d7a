"""Small panels of series, for the tests of what is made of them."""

import numpy as np

from seqmodels.data.series import Panel, Series


def panel(seed=0, ends=((20, 25, 30), (12, 14, 20)), targets=2, covariates=1, past=0, missing=0.2):
    """Series of random numbers, some of them missing."""
    random = np.random.default_rng(seed)
    made = []
    for number, borders in enumerate(ends):
        shape = borders[-1], targets
        observed = random.random(shape) >= missing
        values = 5.0 + 3.0 * random.standard_normal(shape)
        beside = random.standard_normal((borders[-1], covariates + past))
        made.append(Series(f"s{number}", values, observed, beside, borders))
    names = "ab"[:targets], "xy"[:covariates], "uv"[:past]
    return Panel("panel", tuple(names[0]), tuple(names[1]), tuple(made), past_covariates=tuple(names[2]))
