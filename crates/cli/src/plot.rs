//! Curves as an SVG file.

use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use plotters::prelude::*;
use plotters::style::FontFamily;
use std::path::Path;

/// A named curve.
pub struct Curve<'a> {
    pub name: &'a str,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What the axes mean.
pub struct Axes<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
}

const SIZE: (u32, u32) = (840, 480);

/// Colours that are told apart with any colour vision (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Draws curves into a file, which is replaced.
///
/// # Errors
/// Input when the file cannot be written.
pub fn save(path: &Path, axes: &Axes<'_>, curves: &[Curve<'_>], messages: &Messages) -> Outcome {
    let drawn = draw(axes, curves).map_err(|error| Failure::internal(error.to_string()))?;
    std::fs::write(path, drawn).map_err(|error| {
        let values = [
            ("path", path.display().to_string().into()),
            ("reason", error.to_string().into()),
        ];
        Failure::input(messages, "plot-not-written", &values)
    })
}

fn draw(axes: &Axes<'_>, curves: &[Curve<'_>]) -> Result<String, Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = points()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low < high {
            (low, high)
        } else {
            (low.min(0.0), low.max(0.0) + 1.0)
        }
    };
    let ((left, right), (bottom, top)) = match points().next() {
        Some(_) => (range(|point| point.0), range(|point| point.1)),
        None => ((0.0, 1.0), (0.0, 1.0)),
    };
    let margin = 0.05 * (top - bottom);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(axes.title, (FontFamily::SansSerif, 18))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(left..right, bottom - margin..top + margin)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(axes.x)
            .y_desc(axes.y)
            .draw()?;
        for (idx, curve) in curves.iter().enumerate() {
            let style = COLOURS[idx % COLOURS.len()].stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_with_its_name_whatever_its_points() {
        let axes = Axes {
            title: "Потери <1>",
            x: "токены",
            y: "биты",
        };
        let cases = [vec![], vec![(1.0, 2.0)], vec![(0.0, 3.0), (10.0, 1.0)]];
        for points in cases {
            let curves = [
                Curve {
                    name: "свой",
                    points: points.clone(),
                },
                Curve {
                    name: "чужой",
                    points,
                },
            ];
            let svg = draw(&axes, &curves).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            for word in ["свой", "чужой", "токены", "биты", "&lt;1&gt;"] {
                assert!(svg.contains(word), "{word} in {svg}");
            }
            assert!(!svg.contains("NaN"));
        }
    }
}
