//! The colours, once: what a page's style sheet has, and what a file carries along.

/// What a class colours, for light and for dark. The colours are those of the operational view: 4.5 : 1 for text and 3 : 1
/// for shapes on their ground.
const COLOURS: &[(&str, &str, &str, &str)] = &[
    ("face", "fill", "#ffffff", "#12191f"),
    ("ink", "fill", "#12202a", "#e8eef1"),
    ("soft", "fill", "#4a5964", "#a3b2bc"),
    ("grid", "stroke", "#d7dddf", "#26323b"),
    ("base", "stroke", "#77858f", "#66757f"),
    ("frame", "stroke", "#77858f", "#8796a0"),
    ("alarm", "fill", "#b01e12", "#ff8d7d"),
    ("quiet", "fill", "#5d3fa0", "#bda8f5"),
    ("ring", "stroke", "#5d3fa0", "#bda8f5"),
    ("missing", "fill", "#eceff0", "#1a232b"),
    // Series.
    ("s0", "fill", "#2268ad", "#68a9ec"),
    ("s1", "fill", "#0b7f78", "#46c9bd"),
    ("s2", "fill", "#9c6a00", "#e6b450"),
    ("s3", "fill", "#a03d7f", "#e08cc6"),
    ("s4", "fill", "#557d1c", "#a3cf66"),
    ("s5", "fill", "#6a5acd", "#b0a3f7"),
    ("s6", "fill", "#b0532b", "#f09a70"),
    ("rest", "fill", "#77858f", "#8796a0"),
    ("l0", "stroke", "#2268ad", "#68a9ec"),
    ("l1", "stroke", "#0b7f78", "#46c9bd"),
    ("l2", "stroke", "#9c6a00", "#e6b450"),
    ("l3", "stroke", "#a03d7f", "#e08cc6"),
    // How bad, from well to worst.
    ("h0", "fill", "#cfe6da", "#173a2b"),
    ("h1", "fill", "#f3dc9a", "#5c4a12"),
    ("h2", "fill", "#eba95c", "#7a4d12"),
    ("h3", "fill", "#d4603c", "#d0623a"),
    ("h4", "fill", "#94180f", "#ff8d7d"),
    // Text on those, and rings.
    ("t0", "fill", "#12202a", "#e8eef1"),
    ("t1", "fill", "#12202a", "#e8eef1"),
    ("t2", "fill", "#12202a", "#e8eef1"),
    ("t3", "fill", "#12202a", "#12202a"),
    ("t4", "fill", "#ffffff", "#12202a"),
    ("o0", "stroke", "#12202a", "#e8eef1"),
    ("o1", "stroke", "#12202a", "#e8eef1"),
    ("o2", "stroke", "#12202a", "#e8eef1"),
    ("o3", "stroke", "#12202a", "#12202a"),
    ("o4", "stroke", "#ffffff", "#12202a"),
];

/// What does not depend on the colours.
const SHAPES: &str = "\
.picture text{font-family:Inter,system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Liberation Sans\",Arial,sans-serif;font-size:12px;font-variant-numeric:tabular-nums}
.picture text.head{font-size:14px;font-weight:600}
.picture .end{text-anchor:end}
.picture .middle{text-anchor:middle}
.picture .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.picture .l1{stroke-dasharray:7 4}
.picture .l2{stroke-dasharray:2 4}
.picture .l3{stroke-dasharray:9 3 2 3}
.picture .touch{fill:transparent}
.picture .hollow{fill:none;stroke-width:1.6}
";

/// For a page whose `color-scheme` its reader chooses.
pub fn page_style() -> String {
    let colours = COLOURS
        .iter()
        .map(|(class, property, light, dark)| format!(".picture .{class}{{{property}:light-dark({light},{dark})}}\n"));
    SHAPES.chars().chain(colours.flat_map(|rule| rule.chars().collect::<Vec<_>>())).collect()
}

/// For a file by itself: plain rules for light, which every reader of SVG knows, and a condition for dark.
pub fn file_style() -> String {
    let rules = |colour: fn(&(&str, &str, &'static str, &'static str)) -> &'static str| {
        let rule = |entry: &(&str, &str, &'static str, &'static str)| {
            format!(".picture .{}{{{}:{}}}\n", entry.0, entry.1, colour(entry))
        };
        COLOURS.iter().map(rule).collect::<String>()
    };
    format!("{SHAPES}{}@media (prefers-color-scheme:dark){{\n{}}}\n", rules(|c| c.2), rules(|c| c.3))
}
