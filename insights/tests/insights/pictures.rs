//! Pictures are SVG that any reader of XML takes, and nothing in them leaves them.

use hurtig_insights::{ALL, Picture, Settings, Topology};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use crate::support::{answer, asked, fleet, run};

/// A text: where, how it lies, and what.
struct Text {
    x: f64,
    y: f64,
    class: String,
    words: String,
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).expect("well-formed attributes")?;
    Some(found.unescape_value().expect("a value").into_owned())
}

/// All of an SVG's texts and the size it says it has; panics at what is no XML.
fn read(svg: &str) -> (Vec<Text>, (f64, f64)) {
    let mut reader = Reader::from_str(svg);
    let (mut texts, mut size, mut open) = (Vec::new(), (0.0, 0.0), Vec::new());
    let number = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok()).expect("a number");
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e} in {svg}")) {
            Event::Start(element) => {
                let name = String::from_utf8(element.name().as_ref().to_vec()).expect("a name");
                if name == "svg" {
                    let view = attribute(&element, "viewBox").expect("a box");
                    let view: Vec<f64> = view.split(' ').map(|n| n.parse().expect("a number")).collect();
                    size = (view[2], view[3]);
                    assert_eq!(attribute(&element, "role").as_deref(), Some("img"));
                }
                if name == "text" {
                    texts.push(Text {
                        x: number(attribute(&element, "x")),
                        y: number(attribute(&element, "y")),
                        class: attribute(&element, "class").unwrap_or_default(),
                        words: String::new(),
                    });
                }
                open.push(name);
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) if open.last().is_some_and(|name| name == "text") => {
                texts.last_mut().expect("a text").words += &text.decode().expect("text");
            }
            Event::GeneralRef(_) if open.last().is_some_and(|name| name == "text") => {
                texts.last_mut().expect("a text").words += "&";
            }
            Event::Empty(element) => {
                for name in ["width", "height", "r"] {
                    assert!(attribute(&element, name).is_none_or(|value| value.parse::<f64>().is_ok_and(|v| v >= 0.0)));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    (texts, size)
}

fn is_whole(picture: &Picture, what: &str) {
    for svg in [picture.inline().expect("text"), picture.standalone().expect("text")] {
        let (texts, (wide, high)) = read(&svg);
        assert!(texts.len() > 5 && wide == Picture::WIDTH && high > 100.0, "{what}: {} texts, {high}", texts.len());
        for Text { x, y, class, words } in texts {
            // Hardly any letter of 12 pixels is wider than 7.
            let long = words.chars().count() as f64 * 7.0;
            let (left, right) = match class {
                class if class.contains("end") => (x - long, x),
                class if class.contains("middle") => (x - long / 2.0, x + long / 2.0),
                _ => (x, x + long),
            };
            assert!(left >= -4.0 && right <= wide + 4.0, "{what}: '{words}' is from {left} to {right} of {wide}");
            assert!((8.0..=high).contains(&y), "{what}: '{words}' is at {y} of {high}");
        }
    }
    let inline = picture.inline().expect("text");
    assert!(!inline.contains("style") && !inline.contains("NaN"), "{what}: a page's policy wants no style");
    assert!(inline.contains("<desc") && !picture.description().is_empty(), "{what}");
}

#[test]
fn every_picture_is_whole() {
    run(async {
        let mut fleet = fleet(61);
        // Names are whatever meters are called.
        for row in fleet.iter_mut().filter(|row| row.meter == "m-1") {
            row.meter = "m<1> & \"Co.\" ' \u{1} ]]> 0123456789-0123456789-0123456789-0123456789".into();
        }
        let topology =
            Topology::parse("meter_id,feeder,latitude,longitude\nm-0,F<&>,51,0\nm-2,F2,52,1\n").expect("a topology");
        for (from, to) in [("2013-03-01", "2013-12-31"), ("2013-03-28", "2013-04-07"), ("2013-03-25", "2013-03-25")] {
            for insight in ALL {
                let settings = Settings { topology: topology.clone(), ..Settings::default() };
                let what = format!("{} from {from}", insight.name());
                let answer = answer(insight.name(), &fleet, &asked(from, to, "Europe/London"), settings).await;
                match answer.picture {
                    Some(picture) => is_whole(&picture, &what),
                    // A day is too short for a band.
                    None => {
                        assert!(from == "2013-03-25" && insight.name() == "anomalies", "{what}: {:?}", answer.notes)
                    }
                }
            }
        }
    });
}

#[test]
fn colours_are_those_of_a_page_or_come_along() {
    use hurtig_insights::picture::palette;
    let (page, file) = (palette::page_style(), palette::file_style());
    assert!(page.contains(".picture .s0{fill:light-dark(#2268ad,#68a9ec)}"), "{page}");
    assert!(
        file.contains(".picture .s0{fill:#2268ad}") && file.contains("@media (prefers-color-scheme:dark){"),
        "{file}"
    );
}
