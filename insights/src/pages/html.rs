//! The page's HTML: a section an insight, whose picture comes later.

use quick_xml::escape::escape;

use crate::{insight::ALL, settings::Settings};

const PAGE: &str = include_str!("../../page/insights.html");

/// The page. The zone is the one of days unless another one is said.
pub fn page(settings: &Settings, zone: &str) -> String {
    let sections: String = ALL
        .iter()
        .map(|insight| {
            let (name, title, about) = (insight.name(), escape(insight.title()), insight.about(settings));
            let about = escape(&about).into_owned();
            format!(
                r#"<section class="panel insight" id="{name}" aria-labelledby="{name}-heading">
  <header><h2 id="{name}-heading">{title}</h2></header>
  <p class="about">{about}</p>
  <div class="body" data-insight="{name}"><p class="loading">The picture is being made …</p></div>
</section>
"#
            )
        })
        .collect();
    let links: String = ALL
        .iter()
        .map(|insight| format!("<li><a href=\"#{}\">{}</a></li>", insight.name(), escape(insight.title())))
        .collect();
    PAGE.replace("<!-- sections -->", &sections)
        .replace("<!-- links -->", &links)
        .replace("<!-- zone -->", &escape(zone))
}
