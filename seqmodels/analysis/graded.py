"""Products of many matrices whose singular values lie so far apart that no float could hold them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SWEEPS = 60
_VISIBLE = 1e-12


class Graded(NamedTuple):
    """A square matrix P = Q diag(e^s) T, kept in such a form that neither long products nor small parts are lost.

    Attributes:
      q: [n, n], orthogonal.
      scales: s [n], the logarithms of the rows' norms; -inf for a row of zeros.
      rows: T [n, n], of norm 1 each.
    """

    q: Floats
    scales: Floats
    rows: Floats


def identity(size: int) -> Graded:
    """The empty product."""
    return Graded(np.eye(size), np.zeros(size), np.eye(size))


def multiply(matrix: Any, product: Graded) -> Graded:
    """The product `matrix` times what there is.

        A Q = Q' R,      R diag(e^s) T = diag(e^s') T'

    The singular values of `matrix` itself must lie within what a float tells apart, 1e15 or so; those of the product
    need not.

    Example:
      >>> product = identity(2)
      >>> for _ in range(1000):
      ...     product = multiply(np.diag([10.0, 0.1]), product)
      >>> log_singular_values(product) / np.log(10.0)
      array([ 1000., -1000.])

    References:
      Stewart (1997), On graded QR decompositions of products of matrices.
    """
    q, r = np.linalg.qr(np.asarray(matrix, np.float64) @ product.q)
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(r)) + product.scales
    tops = np.max(logs, axis=1)
    shares = np.sign(r) * np.exp(logs - np.where(np.isneginf(tops), 0.0, tops)[:, None])
    rows, norms = _normalised(shares @ product.rows)
    return Graded(q, tops + norms, rows)


def log_singular_values(product: Graded) -> Floats:
    """The natural logarithms of the singular values, descending; -inf for 0.

    Rows are turned against each other, two at a time, until all are orthogonal; then their norms are the singular
    values. Turning knows of the norms their ratio alone, which may be as small as it likes, so that each singular value
    is right to about as many digits as the largest.

    Raises:
      numpy.linalg.LinAlgError: if the rows do not become orthogonal.

    References:
      Demmel & Veselić (1992), Jacobi's method is more accurate than QR.
    """
    some = ~np.isneginf(product.scales)
    scales, rows = product.scales[some], product.rows[some]
    for _ in range(_SWEEPS):
        cosines = [_turn(scales, rows, *pairs) for pairs in _rounds(len(scales))]
        if not max(cosines, default=0.0) > 10 * len(scales) * np.finfo(np.float64).eps:
            return np.sort(np.append(scales, product.scales[~some]))[::-1]
    raise np.linalg.LinAlgError("the singular values of the product did not converge")


def rough_log_singular_values(product: Graded) -> Floats:
    """The same at a fraction of the cost; what is below 1e-12 of the largest, where a float sees nothing, is -inf."""
    top = np.max(product.scales)
    if np.isneginf(top):
        return product.scales
    values = np.linalg.svd(np.exp(product.scales - top)[:, None] * product.rows, compute_uv=False)
    with np.errstate(divide="ignore"):
        return top + np.log(np.where(values >= _VISIBLE * values[0], values, 0.0))


def _turn(scales: Floats, rows: Floats, first: Any, second: Any) -> float:
    """Makes the rows of each pair orthogonal, in place; returns the largest cosine there was.

    With r = e^(s_j - s_i) ≤ 1 and γ the cosine of rows i and j, the turn has the tangent r τ:

        τ = -2 γ / (δ + √(δ² + 4 r² γ²)),      δ = 1 - r²
    """
    larger = scales[first] >= scales[second]
    i, j = np.where(larger, first, second), np.where(larger, second, first)
    cosine = np.sum(rows[i] * rows[j], axis=1)
    ratio = np.exp(scales[j] - scales[i])
    gap = 1.0 - ratio**2
    below = gap + np.sqrt(gap**2 + 4.0 * (ratio * cosine) ** 2)
    tau = -2.0 * cosine / np.where(below > 0.0, below, 1.0)
    c = 1.0 / np.sqrt(1.0 + (ratio * tau) ** 2)
    row_i = c[:, None] * (rows[i] - (ratio**2 * tau)[:, None] * rows[j])
    row_j = c[:, None] * (tau[:, None] * rows[i] + rows[j])
    for index, row in ((i, row_i), (j, row_j)):
        rows[index], norms = _normalised(row)
        scales[index] += norms
    return float(np.max(np.abs(cosine), initial=0.0))


def _normalised(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of norm 1, and the logarithms of their norms."""
    norms = np.linalg.norm(rows, axis=1)
    with np.errstate(divide="ignore"):
        return rows / np.where(norms > 0.0, norms, 1.0)[:, None], np.log(norms)


def _rounds(size: int) -> list[tuple[Any, Any]]:
    """Every pair of `size` places once, in rounds of pairs that have no place in common, as in a tournament."""
    players = size + size % 2
    circle = list(range(players))
    rounds = []
    for _ in range(players - 1):
        pairs = [(a, b) for a, b in zip(circle[: players // 2], circle[: players // 2 - 1 : -1], strict=True)]
        first, second = np.array([pair for pair in pairs if max(pair) < size], int).reshape(-1, 2).T
        rounds.append((first, second))
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return rounds
