//! A report: every picture as SVG, its rows as CSV, and one page with all of them. Texts only: who writes them knows where.

use quick_xml::escape::escape;

use crate::{answer::Answer, error::Result, insight::Insight, period::Period, picture::palette, settings::Settings};

/// A part of a report.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// What was asked.
    pub insight: &'a dyn Insight,
    /// The answer.
    pub answer: &'a Answer,
}

impl std::fmt::Debug for dyn Insight + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The file of a picture: its name and its text.
///
/// # Errors
/// None in practice: memory can be written.
pub fn svg(part: Part<'_>) -> Result<Option<(String, String)>> {
    let file = |text| (format!("{}.svg", part.insight.name()), text);
    part.answer.picture.as_ref().map(|picture| picture.standalone().map(file)).transpose()
}

/// The files of its rows: names and texts.
///
/// # Errors
/// As [`svg`].
pub fn csv(part: Part<'_>) -> Result<Vec<(String, String)>> {
    let file = |sheet: &crate::Sheet| Ok((csv_name(part.insight, sheet.name, part.answer), sheet.csv()?));
    part.answer.sheets.iter().map(file).collect()
}

/// What the rows of a sheet are called: as the insight if there is but one.
pub(crate) fn csv_name(insight: &dyn Insight, sheet: &str, answer: &Answer) -> String {
    match answer.sheets.len() {
        1 => format!("{}.csv", insight.name()),
        _ => format!("{}-{sheet}.csv", insight.name()),
    }
}

/// The page, which needs no other file; its links are to those that have been written beside it.
///
/// # Errors
/// As [`svg`].
pub fn index(parts: &[Part<'_>], period: &Period, settings: &Settings, written: &[String]) -> Result<String> {
    let mut sections = String::new();
    for part in parts {
        sections += &section(*part, settings, written)?;
    }
    let (style, pictures) = (include_str!("../page/report.css"), palette::page_style());
    let period = escape(period.words()).into_owned();
    Ok(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>hurtig · insights, {period}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
{style}{pictures}</style>
</head>
<body>
<main>
<h1>Insights, {period}</h1>
{sections}</main>
</body>
</html>
"#
    ))
}

fn section(part: Part<'_>, settings: &Settings, written: &[String]) -> Result<String> {
    let Part { insight, answer } = part;
    let name = insight.name();
    let picture = match &answer.picture {
        Some(picture) => format!("<figure>{}</figure>\n", picture.inline()?),
        None => String::new(),
    };
    let notes: String = answer.notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", escape(note))).collect();
    let sql: String = (answer.sheets.iter())
        .map(|sheet| {
            let file = csv_name(insight, sheet.name, answer);
            let link = match written.contains(&file) {
                true => format!("<p><a href=\"{file}\">{file}</a>, {} rows</p>", sheet.rows()),
                false => String::new(),
            };
            let sql = escape(&sheet.sql).into_owned();
            format!(
                "<details><summary>SQL of {}</summary>\n<pre><code>{sql}</code></pre></details>\n{link}",
                sheet.name
            )
        })
        .collect();
    Ok(format!(
        "<section id=\"{name}\">\n<h2>{}</h2>\n<p class=\"about\">{}</p>\n{picture}{notes}{sql}</section>\n",
        escape(insight.title()),
        escape(insight.about(settings))
    ))
}
