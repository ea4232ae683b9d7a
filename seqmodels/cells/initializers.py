"""How weights of recurrent cells begin: every gate's block is drawn by itself."""

import jax.numpy as jnp

from seqmodels.cells.base import Array
from seqmodels.cells.draws import keys, normal, uniform


def orthogonal_blocks(key: Array, hidden_size: int, gates: int) -> Array:
    """Recurrent weights [H, G*H] whose G blocks [H, H] are each orthogonal.

    An orthogonal matrix keeps the norm of what it multiplies, so at the start a signal neither vanishes nor
    explodes on its way through time. (One orthogonal [H, G*H] matrix would not do: its blocks shrink.)

    Example:
      >>> import jax
      >>> w = orthogonal_blocks(jax.random.key(0), 3, 2)[:, 3:]
      >>> bool(jnp.allclose(w @ w.T, jnp.eye(3), atol=1e-5))
      True

    References:
      Saxe, McClelland & Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear
      neural networks.
    """

    def block(key: Array) -> Array:
        q, r = jnp.linalg.qr(normal(key, (hidden_size, hidden_size)))
        return q * jnp.sign(jnp.diagonal(r))  # else some orthogonal matrices would come more often than others

    return jnp.concatenate([block(k) for k in keys(key, gates)], axis=1)


def glorot_blocks(key: Array, input_size: int, hidden_size: int, gates: int) -> Array:
    """Input weights [D, G*H], uniform within ±√(6 / (D + H)): the fan of one gate, not of all together.

    References:
      Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural networks.
    """
    bound = (6.0 / (input_size + hidden_size)) ** 0.5
    return uniform(key, (input_size, gates * hidden_size), -bound, bound)
