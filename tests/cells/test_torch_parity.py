"""Same weights, same numbers as torch: outputs, last states and all gradients in float32."""

import jax
import numpy as np
import pytest
from cases import BATCH, HIDDEN, INPUTS, STEPS, cast, name, problem, run
from oracles import assert_close

import seqmodels as sm

torch = pytest.importorskip("torch", reason="the parity tests need torch: pip install seqmodels[parity]")

MODULES = {
    sm.RNN(HIDDEN): torch.nn.RNN(INPUTS, HIDDEN, batch_first=True),
    sm.RNN(HIDDEN, activation="relu"): torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", batch_first=True),
    sm.LSTM(HIDDEN): torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True),
    sm.GRU(HIDDEN): torch.nn.GRU(INPUTS, HIDDEN, batch_first=True),
}


def parts(cell):
    """The cells of a layered or two-way one, each with the suffix of its weights in torch."""
    if isinstance(cell, sm.Stack):
        return [(part, f"_l{layer}") for layer, part in enumerate(cell.cells)]
    if isinstance(cell, sm.Bidirectional):
        return [(cell.fwd, "_l0"), (cell.bwd, "_l0_reverse")]
    return [(cell, "_l0")]


def to_torch(params):
    """torch has [G*H, D] matrices and two biases; a GRU's b_hn is the last third of the second."""
    second = np.zeros_like(params.b)
    if isinstance(params, sm.GRUParams):
        second[-params.b_hn.size :] = params.b_hn
    weights = {"weight_ih": params.w_ih.T, "weight_hh": params.w_hh.T, "bias_ih": params.b, "bias_hh": second}
    if isinstance(params, sm.LSTMPParams):
        weights["weight_hr"] = params.w_hr.T
    return weights


def slopes_from_torch(params, module, suffix):
    """The gradients in our layout."""
    slopes = {key: getattr(module, key + suffix).grad.numpy() for key in to_torch(params)}
    ours = {"w_ih": slopes["weight_ih"].T, "w_hh": slopes["weight_hh"].T, "b": slopes["bias_ih"]}
    if isinstance(params, sm.GRUParams):
        ours["b_hn"] = slopes["bias_hh"][-params.b_hn.size :]
    if isinstance(params, sm.LSTMPParams):
        ours["w_hr"] = slopes["weight_hr"].T
    return params._replace(**ours)


def as_list(cell, tree):
    """Parameters or states of all parts."""
    return list(tree) if isinstance(cell, (sm.Stack, sm.Bidirectional)) else [tree]


def put_weights(module, cell, params):
    """Copies our parameters into the module."""
    with torch.no_grad():
        for (_, suffix), part in zip(parts(cell), as_list(cell, params), strict=True):
            for key, value in to_torch(part).items():
                getattr(module, key + suffix).copy_(torch.tensor(value))


def run_torch(module, cell, given):
    """`(states, ys), (slopes of params, xs, states)` in our layout, with a list for the parts."""
    put_weights(module, cell, given.params)
    module.zero_grad()
    states = as_list(cell, given.state)
    xs = torch.tensor(given.xs, requires_grad=True)
    start = [torch.tensor(np.stack(leaf), requires_grad=True) for leaf in zip(*states, strict=True)]
    ys, last = module(xs, tuple(start) if isinstance(module, torch.nn.LSTM) else start[0])
    last = last if isinstance(last, tuple) else (last,)
    objective = (ys * torch.tensor(given.ys_weights)).sum()
    for leaf, weights in zip(last, zip(*as_list(cell, given.state_weights), strict=True), strict=True):
        objective = objective + (leaf * torch.tensor(np.stack(weights))).sum()
    objective.backward()

    def from_torch(leaves):
        """[parts, batch, H] for each leaf of the state to one state for each part."""
        return [type(state)(*(leaf.detach().numpy()[n] for leaf in leaves)) for n, state in enumerate(states)]

    slopes = [
        slopes_from_torch(part, module, suffix)
        for (_, suffix), part in zip(parts(cell), as_list(cell, given.params), strict=True)
    ]
    values = from_torch(last), ys.detach().numpy()
    return values, (slopes, xs.grad.numpy(), from_torch([leaf.grad for leaf in start]))


def check(cell, module):
    given = cast(problem(cell), np.float32)
    (state, ys), (slopes, xs_slopes, state_slopes) = run(cell, given, method="auto", reverse=False)
    expected_values, expected_slopes = run_torch(module, cell, given)
    assert_close((as_list(cell, state), ys), expected_values, np.float32)
    assert_close((as_list(cell, slopes), xs_slopes, as_list(cell, state_slopes)), expected_slopes, np.float32)


@pytest.mark.parametrize("cell", MODULES, ids=name)
def test_one_layer(cell):
    check(cell, MODULES[cell])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's other way will do
def test_a_projection():
    """torch's state is y = m W_hr in place of m, so the last m has no part in the objective."""
    cell = sm.LSTMP(HIDDEN, 3)
    module = torch.nn.LSTM(INPUTS, HIDDEN, proj_size=3, batch_first=True)
    given = cast(problem(cell), np.float32)
    given = given._replace(state_weights=given.state_weights._replace(m=np.zeros((BATCH, HIDDEN), np.float32)))
    put_weights(module, cell, given.params)
    xs, m, c = (torch.tensor(value, requires_grad=True) for value in (given.xs, *given.state))
    ys, (y, last_c) = module(xs, ((m @ module.weight_hr_l0.T)[None], c[None]))
    ((ys * torch.tensor(given.ys_weights)).sum() + (last_c * torch.tensor(given.state_weights.c)).sum()).backward()

    (state, actual_ys), slopes = run(cell, given, method="auto", reverse=False)
    expected = tuple(value.detach().numpy() for value in (ys, y[0], last_c[0]))
    assert_close((actual_ys, state.m @ given.params.w_hr, state.c), expected, np.float32)
    params_slopes, state_slopes = slopes_from_torch(given.params, module, "_l0"), (m.grad.numpy(), c.grad.numpy())
    assert_close(slopes, (params_slopes, xs.grad.numpy(), sm.LSTMPState(*state_slopes)), np.float32)


def layer_norm_lstm(params, xs, h, c, epsilon):
    """The equations of Ba, Kiros & Hinton in torch, with its layer norm: `ys, h, c`."""
    norm = torch.nn.functional.layer_norm
    ys = []
    for x in xs.unbind(1):
        z = norm(x @ params.w_ih, params.scale_ih.shape, params.scale_ih, params.b, epsilon)
        z = z + norm(h @ params.w_hh, params.scale_hh.shape, params.scale_hh, None, epsilon)
        i, f, g, o = z.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(norm(c, c.shape[-1:], params.scale_c, params.shift_c, epsilon))
        ys.append(h)
    return torch.stack(ys, 1), h, c


def test_layer_normalisation():
    cell = sm.LayerNormLSTM(HIDDEN)
    given = cast(problem(cell), np.float32)
    params, xs, state = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), given[:3])
    leaves = layer_norm_lstm(params, xs, *state, cell.epsilon)
    weights = (given.ys_weights, *given.state_weights)
    sum((leaf * torch.tensor(weight)).sum() for leaf, weight in zip(leaves, weights, strict=True)).backward()
    expected_ys, *expected_state = (leaf.detach().numpy() for leaf in leaves)
    expected_slopes = jax.tree.map(lambda leaf: leaf.grad.numpy(), (params, xs, state))

    values, slopes = run(cell, given, method="auto", reverse=False)
    assert_close(values, (sm.LayerNormLSTMState(*expected_state), expected_ys), np.float32)
    assert_close(slopes, expected_slopes, np.float32)


def test_two_layers():
    module = torch.nn.LSTM(INPUTS, HIDDEN, num_layers=2, batch_first=True)
    check(sm.Stack((sm.LSTM(HIDDEN), sm.LSTM(HIDDEN))), module)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_two_directions(kind):
    module = getattr(torch.nn, kind)(INPUTS, HIDDEN, bidirectional=True, batch_first=True)
    cell = getattr(sm, kind)(HIDDEN)
    check(sm.Bidirectional(cell, cell), module)


def test_lengths_are_packed_sequences():
    layer, lengths = sm.Bidirectional(sm.LSTM(HIDDEN), sm.LSTM(HIDDEN)), np.array([STEPS, 2, 5])
    module = torch.nn.LSTM(INPUTS, HIDDEN, bidirectional=True, batch_first=True)
    given = cast(problem(layer), np.float32)
    put_weights(module, layer, given.params)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(given.xs), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    packed_ys, (h, c) = module(packed)
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_ys, batch_first=True, total_length=STEPS)
    state, actual_ys = sm.unroll(layer, given.params, given.xs, lengths=lengths)
    h, c, ys = (value.detach().numpy() for value in (h, c, ys))
    assert ys.shape == (BATCH, STEPS, 2 * HIDDEN)
    assert_close((state, actual_ys), ((sm.LSTMState(h[0], c[0]), sm.LSTMState(h[1], c[1])), ys), np.float32)
