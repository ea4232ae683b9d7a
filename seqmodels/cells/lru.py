"""The linear recurrent unit."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, LinearCell, check_size, state_dtype
from seqmodels.cells.draws import keys, normal, uniform
from seqmodels.cells.products import gate_products, product


class LRUParams(NamedTuple):
    """Logarithms `nu`, `theta`, `log_gamma` [H]; matrices `b_re`, `b_im` [D, H], `c_re`, `c_im` [H, F], `d` [D, F]."""

    nu: Array
    theta: Array
    log_gamma: Array
    b_re: Array
    b_im: Array
    c_re: Array
    c_im: Array
    d: Array


class LRUState(NamedTuple):
    """Real and imaginary part, `re` and `im` [..., H], of the state h."""

    re: Array
    im: Array


@dataclasses.dataclass(frozen=True)
class LRU(LinearCell):
    """A diagonal linear recurrence in the complex plane: each unit is an oscillator that decays.

        λ = exp(-exp(ν) + i exp(θ))
        hₜ = λ ⊙ hₜ₋₁ + γ ⊙ (xₜ B)        yₜ = Re(hₜ C) + xₜ D

    |λ| = exp(-exp(ν)) < 1 whatever ν is, so no h grows without bound. γ = √(1 - |λ|²) at the start, which gives h the
    variance of x B for inputs that do not depend on each other, however long its memory. As in the paper log γ is
    learnt from there on. Nothing nonlinear is in the cell; it belongs between layers.

    Args:
      hidden_size: H, the number of complex units.
      features: F, the size of the outputs; None: H.
      min_radius: the smallest |λ| at the start; λ is uniform on the ring between the two radii.
      max_radius: the largest |λ| at the start, at most 1.
      max_phase: the largest phase exp(θ) of λ at the start, in radians; the smaller, the longer the waves.

    Example:
      >>> cell = LRU(hidden_size=4, features=2)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> state.im.shape, y_t.shape
      ((4,), (2,))

    References:
      Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De (2023), Resurrecting recurrent neural networks for long
      sequences.
    """

    hidden_size: int
    features: int | None = None
    min_radius: float = 0.0
    max_radius: float = 1.0
    max_phase: float = 6.28

    def __post_init__(self) -> None:
        """Checks sizes, radii and phase."""
        check_size("hidden_size", self.hidden_size)
        check_size("features", self.output_size)
        if not 0.0 <= self.min_radius <= self.max_radius <= 1.0:
            raise ValueError(
                f"0 <= min_radius <= max_radius <= 1 must hold (got {self.min_radius} and {self.max_radius})"
            )
        if not self.max_phase > 0.0:
            raise ValueError(f"max_phase must be above 0 (got {self.max_phase})")

    @property
    def output_size(self) -> int:
        """F."""
        return self.hidden_size if self.features is None else self.features

    def init(self, key: Array, input_size: int) -> LRUParams:
        """λ uniform on a ring, Gaussian matrices that keep the variance: 1 / 2D for B, 1 / H for C, 1 / D for D."""
        size, outputs = self.hidden_size, self.output_size
        key_radius, key_phase, *key_matrices = keys(key, 7)
        leak = _uniform(key_radius, size, 1.0 - self.max_radius**2, 1.0 - self.min_radius**2)  # 1 - |λ|²

        def gaussian(key: Array, shape: tuple[int, int], variance: float) -> Array:
            return math.sqrt(variance) * normal(key, shape)

        return LRUParams(
            nu=jnp.log(-0.5 * jnp.log1p(-leak)),
            theta=jnp.log(self.max_phase * _uniform(key_phase, size, 0.0, 1.0)),
            log_gamma=0.5 * jnp.log(leak),
            b_re=gaussian(key_matrices[0], (input_size, size), 0.5 / input_size),
            b_im=gaussian(key_matrices[1], (input_size, size), 0.5 / input_size),
            c_re=gaussian(key_matrices[2], (size, outputs), 1.0 / size),
            c_im=gaussian(key_matrices[3], (size, outputs), 1.0 / size),
            d=gaussian(key_matrices[4], (input_size, outputs), 1.0 / input_size),
        )

    def initial_state(self, params: LRUParams, batch_shape: tuple[int, ...] = ()) -> LRUState:
        """Zeros."""

        def zeros() -> Array:
            return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.nu.dtype))

        return LRUState(re=zeros(), im=zeros())

    def decay_params(self, params: LRUParams) -> tuple[Array, Array, Array]:
        """ν and θ, of which λ is made, and log γ, which belongs to them."""
        return params.nu, params.theta, params.log_gamma

    def coefficients(
        self, params: LRUParams, decay_params: tuple[Array, Array, Array], xs: Array
    ) -> tuple[Array, Array]:
        """λ, the same at every step, and γ x B."""
        nu, theta, log_gamma = decay_params
        decay, gamma = jnp.exp(jax.lax.complex(-jnp.exp(nu), jnp.exp(theta))), jnp.exp(log_gamma)
        real, imaginary = (gate_products(xs, w, 1)[0] for w in (params.b_re, params.b_im))
        b = jax.lax.complex(gamma * real, gamma * imaginary)
        return decay, b

    def hidden(self, state: LRUState) -> Array:
        """The complex state h."""
        return jax.lax.complex(state.re, state.im)

    def as_state(self, h: Array) -> LRUState:
        """The two parts of h."""
        return LRUState(re=h.real, im=h.imag)

    def readout(self, params: LRUParams, states: LRUState, xs: Array) -> Array:
        """Re(h C) + x D."""
        real = product(states.re, params.c_re) - product(states.im, params.c_im)
        return real + product(xs, params.d)


def _uniform(key: Array, size: int, low: float, high: float) -> Array:
    """Uniform between two bounds within [0, 1], but never 0 or 1: their logarithms would be infinite."""
    margin = 1e-7  # about what float32 can tell from 1
    return jnp.clip(uniform(key, (size,), low, high), margin, 1.0 - margin)
