"""Pictures of figures: what is drawn is inside, named, and well-formed."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.bench import curves, pictures
from tidings.bench.curves import Curve
from tidings.bench.pictures import Axis, Picture, Series, axis_for, draw
from tidings.core.errors import InvalidInputError

SVG = "{http://www.w3.org/2000/svg}"
IMAGES = Path(__file__).parents[2] / "docs" / "images"

values = st.one_of(st.just(0.0), st.floats(pictures.SMALLEST, pictures.LARGEST))
series = st.lists(st.tuples(values, values), min_size=1, max_size=8).map(lambda points: Series("s", tuple(points)))


def picture(*series: Series, **texts: str) -> Picture:
    return Picture(**{"title": "Title", "note": "a note", "x": "webhooks", "y": "ms"} | texts, series=series)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@given(st.lists(series, min_size=1, max_size=pictures.MAX_SERIES))
@settings(deadline=None)
def test_every_point_is_drawn_inside_the_axes(drawn: list[Series]) -> None:
    root = ElementTree.fromstring(draw(picture(*drawn)))
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == sum(len(one.points) for one in drawn)
    assert all(pictures.LEFT <= x <= pictures.RIGHT and pictures.TOP <= y <= pictures.BOTTOM for x, y in dots)


@given(st.lists(values, min_size=1, max_size=20))
@settings(deadline=None)
def test_an_axis_holds_its_values_and_keeps_their_order(held: list[float]) -> None:
    axis = axis_for(held)
    shares = [axis.share(value) for value in sorted(held)]
    assert shares == sorted(shares)
    assert shares[0] >= -1e-9
    assert shares[-1] <= 1 + 1e-9
    assert 2 <= len(axis.ticks) <= 26


def test_values_far_apart_go_on_powers_of_ten_and_others_begin_at_zero() -> None:
    assert axis_for([64, 1000, 1_000_000]) == Axis((10, 100, 1000, 10_000, 100_000, 1_000_000), is_log=True)
    assert axis_for([1, 50]) == Axis((0, 10, 20, 30, 40, 50), is_log=False)
    assert axis_for([1, 51]).is_log
    assert axis_for([1, 2, 4]) == Axis((0, 1, 2, 3, 4), is_log=False)
    assert axis_for([0]) == Axis((0, 0.2), is_log=False)


def test_an_axis_refuses_what_it_cannot_hold() -> None:
    for refused in ([], [-1.0], [float("nan")], [float("inf")], [pictures.SMALLEST / 2], [pictures.LARGEST * 2]):
        with pytest.raises(ValueError, match="An axis needs values"):
            axis_for(refused)


def test_title_note_axes_and_series_are_named() -> None:
    svg = draw(picture(Series("median", ((10, 1), (1_000_000, 2))), Series("p95", ((10, 3),)), title="a < b & c"))
    assert {"a < b & c", "a note", "webhooks", "ms", "median", "p95", "10", "1k", "1M", "0", "3"} <= set(texts(svg))


def test_colours_follow_the_reader_and_there_are_as_many_as_series() -> None:
    four = [Series(str(n), ((1, n),)) for n in range(pictures.MAX_SERIES)]
    svg = draw(picture(*four))
    light, _, dark = svg.partition("prefers-color-scheme: dark")
    for n in range(pictures.MAX_SERIES):
        assert f".c{n} {{ stroke: #" in light
        assert f".c{n} {{ stroke: #" in dark
        assert f'class="curve c{n}"' in svg
    with pytest.raises(ValueError, match="holds 4 series"):
        draw(picture(*four, Series("fifth", ((1, 1),))))


# What is kept ----------------------------------------------------------------------------------------------------------


def curve(date: str = "2026-11-21", **point: float) -> Curve:
    return Curve(date, 2, "x86_64", "3.11.7", quick=True, points=[point])


def test_a_curve_that_is_measured_anew_leaves_the_others(tmp_path: Path) -> None:
    curves.keep(
        tmp_path / "new", {"workers": curve(workers=1, deliveries_per_s=10), "stored": curve(stored=1, deliveries_per_s=1)}
    )
    curves.keep(tmp_path / "new", {"workers": curve("2026-11-22", workers=1, deliveries_per_s=20)})
    kept = msgspec.json.decode((tmp_path / "new" / curves.FILE).read_bytes(), type=dict[str, Curve])
    assert {name: (one.date, one.points[0]["deliveries_per_s"]) for name, one in kept.items()} == {
        "workers": ("2026-11-22", 20), "stored": ("2026-11-21", 1),
    }  # fmt: skip
    assert "2026-11-22, 2 cores, quick run" in texts((tmp_path / "new" / "growth-workers-deliveries.svg").read_text())


def test_drawing_again_needs_figures_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Measure first: tidings bench --growth --pictures"):
        curves.draw_again(tmp_path)
    (tmp_path / curves.FILE).write_text('{"workers": 3}')
    with pytest.raises(InvalidInputError, match="cannot be read"):
        curves.draw_again(tmp_path)


def test_the_pictures_of_the_documentation_are_those_of_its_figures(tmp_path: Path) -> None:
    (tmp_path / curves.FILE).write_bytes((IMAGES / curves.FILE).read_bytes())
    curves.draw_again(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.glob("*.svg")} == {
        path.name: path.read_text() for path in IMAGES.glob("growth-*.svg")
    }
