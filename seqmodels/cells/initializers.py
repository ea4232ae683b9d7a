"""How weights of recurrent cells begin: every gate's block is drawn by itself."""

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array


def orthogonal_blocks(key: Array, hidden_size: int, gates: int) -> Array:
    """Recurrent weights [H, G*H] whose G blocks [H, H] are each orthogonal.

    An orthogonal matrix keeps the norm of what it multiplies, so at the start a signal neither vanishes nor
    explodes on its way through time. (One orthogonal [H, G*H] matrix would not do: its blocks shrink.)

    Example:
      >>> w = orthogonal_blocks(jax.random.key(0), 3, 2)[:, 3:]
      >>> bool(jnp.allclose(w @ w.T, jnp.eye(3), atol=1e-5))
      True

    References:
      Saxe, McClelland & Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear
      neural networks.
    """
    init = jax.nn.initializers.orthogonal()
    keys = jax.random.split(key, gates)
    return jnp.concatenate([init(k, (hidden_size, hidden_size), float) for k in keys], axis=1)


def glorot_blocks(key: Array, input_size: int, hidden_size: int, gates: int) -> Array:
    """Input weights [D, G*H], uniform within ±√(6 / (D + H)): the fan of one gate, not of all together.

    References:
      Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural networks.
    """
    bound = (6.0 / (input_size + hidden_size)) ** 0.5
    return jax.random.uniform(key, (input_size, gates * hidden_size), float, -bound, bound)
