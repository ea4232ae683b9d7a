"""The picture of forecasts."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from seqmodels.analysis.curves import TRAIN, VALIDATION
from seqmodels.analysis.forecast import bands, draw, figure
from seqmodels.tasks.forecasts import Forecasts, Shown

LEVELS = (0.1, 0.5, 0.9)


def forecasts(levels=LEVELS, number=2, context=50, horizon=6):
    random = np.random.default_rng(0)
    windows = tuple(
        Shown(
            name=f"window {place}",
            past=random.standard_normal(context),
            future=np.where(np.arange(horizon) == 1, np.nan, random.standard_normal(horizon)),
            point=random.standard_normal(horizon),
            quantiles=np.sort(random.standard_normal((horizon, len(levels))), axis=1),
        )
        for place in range(number)
    )
    return Forecasts(windows, levels)


def lines(axes, colour):
    return [
        line for line in axes.get_lines() if to_hex(line.get_color()).upper() == colour and len(line.get_xdata()) > 2
    ]


def test_each_window_has_its_past_its_future_and_its_forecast():
    shown = forecasts()
    picture = figure(shown, title="a run")
    assert len(picture.axes) == 2
    for axes, window in zip(picture.axes, shown.windows, strict=True):
        (came,), (forecast,) = lines(axes, TRAIN), lines(axes, VALIDATION)
        np.testing.assert_array_equal(came.get_ydata(), window.future)
        np.testing.assert_array_equal(forecast.get_ydata(), window.point)
        np.testing.assert_array_equal(forecast.get_xdata(), range(1, 7))
        assert axes.get_xlim() == (-17.0, 6.0)
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == window.quantiles[:, 0].min()
        assert corners[:, 1].max() == window.quantiles[:, -1].max()


@pytest.mark.parametrize("horizon", [3, 4, 5, 6])
def test_steps_are_whole(horizon):
    (axes,) = figure(forecasts(number=1, horizon=horizon), title="a run").axes
    ticks = axes.xaxis.get_major_locator()()
    np.testing.assert_array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize(("levels", "number"), [((), 0), ((0.5,), 0), (LEVELS, 1), ((0.1, 0.25, 0.5, 0.75, 0.9), 2)])
def test_an_interval_for_each_pair_of_levels(levels, number):
    assert len(bands(levels)) == number
    picture = figure(forecasts(levels, number=1), title="a run")
    assert len(picture.axes[0].collections) == number
    texts = [text.get_text() for text in picture.axes[0].get_legend().get_texts()]
    assert ("80% interval" in texts) == (number > 0)


def test_names_are_shown_as_they_are():
    shown = forecasts(number=1)
    shown = shown._replace(windows=(shown.windows[0]._replace(name="cost in $ and $"),))
    picture = figure(shown, title="$a run$")
    assert picture.axes[0].get_title(loc="left") == "cost in $ and $"
    picture.draw_without_rendering()


def test_the_file_is_written_whole(tmp_path):
    draw(forecasts(), tmp_path / "forecasts.png", title="a run")
    assert [path.name for path in tmp_path.iterdir()] == ["forecasts.png"]
    assert (tmp_path / "forecasts.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OSError, match="No such file"):
        draw(forecasts(), tmp_path / "absent" / "forecasts.png", title="a run")
