//! Partition keys by jq: a program that makes an object of keys out of each record.
//!
//! The program is compiled once. Programs of the common form, `{year:.time[:4],site:.site.id}`, are
//! run without jq, with the same results (`lane`). What depends on more than the record (`now`, `env`,
//! `$ENV`, `input`) is not there, so that a replay finds every record's place again.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-partitioning-keys.html>.

mod lane;

use jaq_core::{
    Compiler, Ctx, Filter, Vars,
    data::JustLut,
    load::{self, Arena, File, Loader},
};
use jaq_json::Val;
use serde::de::IgnoredAny;

use self::lane::Lane;
use crate::{
    error::{Error, Result},
    error_record::{METADATA_EXTRACTION_FAILED, Problem},
};

/// A compiled program. It makes the keys that the prefix asks for.
pub struct Query {
    jq: Filter<JustLut<Val>>,
    lane: Option<Lane>,
    /// The keys that are wanted, as they are looked up.
    keys: Vec<(String, Val)>,
}

/// Which filters of jq are not there.
const AMBIENT: [&str; 3] = ["now", "env", "halt"];

impl Query {
    /// Compiles `program`, of whose object `keys` are wanted.
    pub fn new(program: &str, keys: &[String]) -> Result<Self> {
        let fail = |reason: String| Error::Query { query: program.to_owned(), reason };
        let jq = compile(program).map_err(fail)?;
        let lane = Lane::of(program, keys);
        if let Some(Err(missing)) = &lane {
            return Err(fail(format!("it makes no key '{missing}', which Prefix asks for")));
        }
        let keys = keys.iter().map(|key| (key.clone(), Val::from(key.clone()))).collect();
        Ok(Query { jq, lane: lane.and_then(Result::ok), keys })
    }

    /// The same with jq for every record: what the short way is measured against.
    #[must_use]
    pub fn always_by_jq(mut self) -> Self {
        self.lane = None;
        self
    }

    /// The record's keys, in the order they were asked for, as text. None is empty.
    pub fn keys(&mut self, record: &[u8], values: &mut Vec<String>) -> Result<(), Problem> {
        values.resize_with(self.keys.len(), String::new);
        values.iter_mut().for_each(String::clear);
        let short = match &mut self.lane {
            Some(lane) => lane.keys(record, values).map_err(|e| not_json(&e))?,
            None => false,
        };
        if !short {
            values.iter_mut().for_each(String::clear);
            self.run(record, values)?;
        }
        for ((key, _), value) in self.keys.iter().zip(values.iter()) {
            if value.is_empty() {
                return Err(problem(format!("the partition key '{key}' is missing, null or empty")));
            }
            if value.contains(|c: char| c.is_control()) {
                return Err(problem(format!("the partition key '{key}' holds a control character")));
            }
        }
        Ok(())
    }

    fn run(&self, record: &[u8], values: &mut [String]) -> Result<(), Problem> {
        // jaq reads more than JSON: NaN, comments, binary strings.
        serde_json::from_slice::<IgnoredAny>(record).map_err(|e| not_json(&e))?;
        let input = jaq_json::read::parse_single(record).map_err(|e| not_json(&e))?;
        let ctx = Ctx::<JustLut<Val>>::new(&self.jq.lut, Vars::new([]));
        let mut outputs = self.jq.id.run((ctx, input));
        let first = match outputs.next() {
            None => return Err(problem("the query gives nothing for this record".into())),
            Some(Err(e)) => return Err(problem(said(e.get_err().ok()))),
            Some(Ok(value)) => value,
        };
        if outputs.next().is_some() {
            return Err(problem("the query gives more than one result for this record".into()));
        }
        let Val::Obj(object) = first else {
            return Err(problem(format!("the query gives {}, not an object of keys", short(&first.to_string()))));
        };
        for ((key, name), value) in self.keys.iter().zip(values) {
            match object.get(name) {
                None | Some(Val::Null) => {}
                Some(Val::TStr(text)) => match std::str::from_utf8(text) {
                    Ok(text) => value.push_str(text),
                    Err(_) => return Err(problem(format!("the partition key '{key}' is not UTF-8"))),
                },
                Some(scalar @ (Val::Num(_) | Val::Bool(_))) => value.push_str(&scalar.to_string()),
                Some(_) => return Err(problem(format!("the partition key '{key}' is neither text nor a number"))),
            }
        }
        Ok(())
    }
}

fn compile(program: &str) -> Result<Filter<JustLut<Val>>, String> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    // Definitions that only lead to what is not there go too.
    let defs = defs.filter(|def| !def.name.starts_with("halt"));
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let funs = funs.filter(|(name, ..)| !AMBIENT.contains(name));
    let arena = Arena::default();
    let loaded = Loader::new(defs).load(&arena, File { code: program, path: () });
    let modules = loaded.map_err(|errors| {
        let of = errors.into_iter().next().map(|(_, error)| match error {
            load::Error::Lex(e) => e.first().map(|(expected, found)| at(program, expected.as_str(), found)),
            load::Error::Parse(e) => e.first().map(|(expected, found)| at(program, expected.as_str(), found)),
            load::Error::Io(e) => e.first().map(|(module, e)| format!("the module '{module}' cannot be loaded: {e}")),
        });
        of.flatten().unwrap_or_else(|| "jq cannot read it".into())
    })?;
    let compiled = Compiler::default().with_funs(funs).compile(modules);
    compiled.map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, undefined)| undefined).next();
        first.map_or_else(
            || "jq cannot compile it".into(),
            |(name, what)| {
                let why = if AMBIENT.contains(&name) || name == "$ENV" {
                    " here, where a record's place depends on the record alone"
                } else {
                    ""
                };
                format!("there is no {} '{name}'{why}", what.as_str())
            },
        )
    })
}

fn at(program: &str, expected: &str, found: &str) -> String {
    let rest = short(found);
    if rest.is_empty() {
        return format!("jq expects {expected} at its end");
    }
    let position = load::span(program, found).start;
    format!("jq expects {expected} at '{rest}' (character {})", program[..position].chars().count() + 1)
}

fn problem(message: String) -> Problem {
    Problem { code: METADATA_EXTRACTION_FAILED, message }
}

fn not_json(e: &dyn std::fmt::Display) -> Problem {
    problem(format!("the record is not JSON: {e}"))
}

fn said(e: Option<jaq_json::Error>) -> String {
    e.map_or_else(
        || "the query ends without a result".into(),
        |e| format!("the query fails: {}", short(&e.to_string())),
    )
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    let begin = &text[..text.floor_char_boundary(80)];
    let line = begin.replace(char::is_control, " ");
    if begin.len() < text.len() { format!("{line}…") } else { line }
}
