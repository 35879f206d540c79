//! What plots are made of, as SVG.

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::prelude::*;

const SIZE: (u32, u32) = (920, 420);
const COLORS: [RGBColor; 7] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0x7f, 0xb7, 0xe0),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0xf0, 0xb0, 0x70),
    RGBColor(0x4d, 0x9a, 0x4d),
    RGBColor(0x8a, 0x5f, 0xa8),
    RGBColor(0x77, 0x77, 0x77),
];
const FONT: &str = "sans-serif";

pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn color(at: usize) -> RGBColor {
    COLORS[at % COLORS.len()]
}

/// Draws on an empty picture.
pub(crate) fn picture(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        drawn.and_then(|()| area.present().map_err(Into::into)).map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// What all plots have around them, but room for the names below.
pub(crate) fn frame<'a, 'b>(
    area: &'a DrawingArea<SVGBackend<'b>, Shift>,
    caption: &str,
) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(caption, (FONT, 18)).margin(10).y_label_area_size(70);
    chart
}

/// A group of bars takes a whole step; its name stands in the middle of it.
pub(crate) fn in_the_middle(x: f64, names: &[impl ToString]) -> String {
    let is_middle = (x.fract() - 0.5).abs() < 0.01;
    is_middle.then(|| names.get(x as usize)).flatten().map_or(String::new(), ToString::to_string)
}

pub(crate) fn swatch((x, y): (i32, i32), at: usize) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 5), (x + 14, y + 5)], color(at).filled())
}

pub(crate) fn line<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    at: usize,
    name: &str,
    points: impl IntoIterator<Item = (f64, f64)>,
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let points: Vec<(f64, f64)> = points.into_iter().collect();
    chart
        .draw_series(LineSeries::new(points, color(at).stroke_width(2)))?
        .label(name)
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], color(at).stroke_width(2)));
    Ok(())
}

pub(crate) fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let labels = &mut chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
