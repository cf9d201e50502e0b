//! A simulation as a picture: a panel per policy, load and capacity over time, what is throttled, and
//! the shards on an axis of their own.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{PolicyRun, ScalingError, Simulation};

const SIZE: (u32, u32) = (1000, 1060);
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(31, 41, 55);
const GRID: RGBColor = RGBColor(229, 231, 235);
const LOAD: RGBColor = RGBColor(37, 99, 235);
const CAPACITY: RGBColor = RGBColor(5, 150, 105);
const SHARDS: RGBColor = RGBColor(146, 64, 14);
const THROTTLED: RGBColor = RGBColor(220, 38, 38);
const AT_RISK: RGBColor = RGBColor(245, 158, 11);

/// As SVG.
pub fn draw(simulation: &Simulation, title: &str) -> Result<String, ScalingError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        whole(&root, simulation, title).map_err(|e| ScalingError::Picture(e.to_string()))?;
        root.present().map_err(|e| ScalingError::Picture(e.to_string()))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn whole(root: &Area<'_>, simulation: &Simulation, title: &str) -> Drawn {
    root.fill(&WHITE)?;
    let heading = (FONT, 22).into_font().color(&INK);
    let (head, rest) = root.split_vertically(76);
    head.draw(&Text::new(title.to_owned(), (24, 14), heading))?;
    legend(&head)?;
    let all = || simulation.runs.iter().flat_map(|run| &run.samples);
    let highest = all().map(|s| s.load.max(s.capacity)).fold(1e6, f64::max) / 1e6 * 1.08;
    let shards = all().map(|s| s.shards).max().unwrap_or(1) as f64 * 1.08;
    for (area, run) in rest.split_evenly((simulation.runs.len().max(1), 1)).iter().zip(&simulation.runs) {
        panel(area, run, highest, shards)?;
    }
    Ok(())
}

/// One line of keys for all panels.
fn legend(head: &Area<'_>) -> Drawn {
    let text = (FONT, 14).into_font().color(&INK);
    let entries = [
        ("load", LOAD, false),
        ("capacity", CAPACITY, false),
        ("shards (right axis)", SHARDS, false),
        ("above capacity: throttled, waits", THROTTLED, true),
        ("above on-demand's promise: may be throttled", AT_RISK, true),
    ];
    let mut x = 24;
    for (name, color, filled) in entries {
        if filled {
            head.draw(&Rectangle::new([(x, 50), (x + 22, 62)], color.mix(0.45).filled()))?;
        } else {
            head.draw(&PathElement::new([(x, 56), (x + 22, 56)], color.stroke_width(3)))?;
        }
        head.draw(&Text::new(name, (x + 28, 48), text.clone()))?;
        x += 50 + 7 * name.len() as i32;
    }
    Ok(())
}

fn panel(area: &Area<'_>, run: &PolicyRun, highest: f64, shards: f64) -> Drawn {
    let (Some(first), Some(last)) = (run.samples.first(), run.samples.last()) else { return Ok(()) };
    let minute = |at: i64| at as f64 / 60_000.0;
    let span = minute(first.at)..minute(last.at);
    let axis = (FONT, 14).into_font().color(&INK);
    let (start, most, end) = run.shards();
    let caption = format!(
        "{}: {start} to {most} shards, {end} at the end; {:.0} MB throttled, {:.1} shard hours",
        run.name,
        run.throttled() / 1e6,
        run.shard_hours()
    );
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 16).into_font().color(&INK))
        .margin_left(16)
        .margin_right(16)
        .margin_bottom(8)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .right_y_label_area_size(56)
        .build_cartesian_2d(span.clone(), 0.0..highest)?
        .set_secondary_coord(span, 0.0..shards);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(10)
        .x_label_formatter(&|m| clock(*m))
        .x_desc("time")
        .y_labels(6)
        .y_label_formatter(&|mb| format!("{mb:.0}"))
        .y_desc("MB/s")
        .label_style(axis.clone())
        .draw()?;
    chart
        .configure_secondary_axes()
        .y_labels(6)
        .y_label_formatter(&|n| format!("{n:.0}"))
        .y_desc("shards")
        .label_style(axis.pos(Pos::new(HPos::Left, VPos::Center)))
        .axis_style(INK)
        .draw()?;
    let points = |value: fn(&super::Sample) -> f64| run.samples.iter().map(move |s| (minute(s.at), value(s) / 1e6));
    chart.draw_series(AreaSeries::new(points(|s| s.at_risk), 0.0, AT_RISK.mix(0.45)))?;
    chart.draw_series(AreaSeries::new(points(|s| s.throttled), 0.0, THROTTLED.mix(0.45)))?;
    chart.draw_series(LineSeries::new(points(|s| s.capacity), CAPACITY.stroke_width(2)))?;
    let count = run.samples.iter().map(|s| (minute(s.at), s.shards as f64));
    chart.draw_secondary_series(DashedLineSeries::new(count, 6, 5, SHARDS.stroke_width(2)))?;
    chart.draw_series(LineSeries::new(points(|s| s.load), LOAD.stroke_width(3)))?;
    Ok(())
}

/// `21:23` of minutes since midnight.
fn clock(minutes: f64) -> String {
    let minutes = minutes.round() as i64;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
