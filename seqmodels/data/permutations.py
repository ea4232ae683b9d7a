"""Random orders that a seed decides for good."""

import numpy as np
import numpy.typing as npt


def permutation(size: int, *numbers: int) -> npt.NDArray[np.int64]:
    """The numbers 0 .. size - 1 in an order that `numbers` decide, the same under every NumPy.

    Args:
      size: how many.
      *numbers: any integers, such as a seed and an epoch.

    Example:
      >>> permutation(5, 0, 1).tolist(), permutation(5, 0, 2).tolist()
      ([2, 0, 1, 3, 4], [4, 2, 3, 1, 0])
    """
    # SeedSequence, unlike Generator's methods, is promised to give the same numbers in every NumPy. It takes no
    # negative numbers, which are seeds as good as any.
    keys = np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(size, np.uint64)
    return np.argsort(keys, kind="stable")
