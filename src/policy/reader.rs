//! Reads typed values from the tree and collects what is wrong, with what to write instead.

use super::PolicyError;
use super::nearest::{did_you_mean, nearest};
use super::schema;
use super::yaml::{Key, Node, Place, Yaml};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::JsonSchema;
use std::time::Duration;

/// Words that later versions will give a meaning to.
pub(super) const RESERVED: [&str; 2] = ["approval", "guards"];

/// Collects errors; every reading answers `None` if there was one.
#[derive(Default)]
pub(super) struct Reader {
    pub errors: Vec<PolicyError>,
}

/// The members of a mapping.
pub(super) struct Fields<'a> {
    at: Place,
    what: String,
    members: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.members.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }
}

impl Reader {
    pub fn error(&mut self, at: Place, message: impl Into<String>) {
        self.errors.push(PolicyError { line: at.line, column: at.column, message: message.into() });
    }

    /// The members of a mapping of shape `T`; unknown and reserved keys are told.
    pub fn fields<'a, T: JsonSchema>(&mut self, node: &'a Node, what: &str) -> Option<Fields<'a>> {
        let known = schema::keys::<T>();
        self.fields_among(node, what, &known)
    }

    pub fn fields_among<'a>(&mut self, node: &'a Node, what: &str, known: &[String]) -> Option<Fields<'a>> {
        let Yaml::Map(members) = &node.value else {
            let keys = known.join(", ");
            self.error(node.at, format!("{what} is {}; write a mapping with the keys {keys}", node.kind()));
            return None;
        };
        for (key, _) in members {
            let name = key.name.as_str();
            if RESERVED.contains(&name) {
                self.error(key.at, format!("`{name}` in {what} is reserved for a later version; remove it"));
            } else if !known.iter().any(|known| known == name) {
                let hint = match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "remove it".to_owned(),
                    None => format!("write one of {}, or remove it", known.join(", ")),
                };
                self.error(key.at, format!("unknown key `{name}` in {what}; {hint}"));
            }
        }
        Some(Fields { at: node.at, what: what.to_owned(), members })
    }

    /// A member that must be there; `example` is what to write.
    pub fn required<'a>(&mut self, fields: &Fields<'a>, name: &str, example: &str) -> Option<&'a Node> {
        let node = fields.get(name);
        if node.is_none() {
            self.error(fields.at, format!("{} has no `{name}`; write {example}", fields.what));
        }
        node
    }

    pub fn text<'a>(&mut self, node: &'a Node, what: &str, example: &str) -> Option<&'a str> {
        match &node.value {
            Yaml::Text(text) => Some(text),
            _ => {
                self.error(node.at, format!("{what} is {}; write a text such as {example}", node.kind()));
                None
            }
        }
    }

    pub fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Yaml::Bool(flag) => Some(flag),
            _ => {
                self.error(node.at, format!("{what} is {}; write true or false", node.kind()));
                None
            }
        }
    }

    pub fn number(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let number = match node.value {
            Yaml::Integer(number) => u32::try_from(number).ok().filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.error(node.at, format!("{what} is no number in its range; write one from {least} to {most}"));
        }
        number
    }

    /// A number, whole or not. `range` holds for what is right; `words` say it.
    pub fn decimal(&mut self, node: &Node, what: &str, range: impl Fn(f64) -> bool, words: &str) -> Option<f64> {
        let number = match node.value {
            Yaml::Integer(number) => number as f64,
            Yaml::Float(number) => number,
            _ => {
                self.error(node.at, format!("{what} is {}; write {words}", node.kind()));
                return None;
            }
        };
        if !range(number) {
            self.error(node.at, format!("{what} is {number}, which is out of range; write {words}"));
            return None;
        }
        Some(number)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let Yaml::Text(text) = &node.value else {
            self.error(node.at, format!("{what} is {}; write {}", node.kind(), alternatives(&names)));
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let near = did_you_mean(text, names.iter().copied());
            self.error(node.at, format!("{what} is `{text}`; write {}{near}", alternatives(&names)));
        }
        found
    }

    /// A time span as people write it: `30s`, `15m`, `1h 30m`, `7d`. `range` and its words, for the sentence.
    pub fn duration(&mut self, node: &Node, what: &str, range: (Duration, Duration), words: &str) -> Option<Duration> {
        let example = "`30s`, `15m` or `1h 30m`";
        if let Yaml::Integer(number) = node.value {
            self.error(
                node.at,
                format!("{what} is the number {number} without a unit; write `{number}s` for seconds, or {example}"),
            );
            return None;
        }
        let text = self.text(node, what, example)?;
        let Some(duration) = parse_duration(text) else {
            self.error(node.at, format!("{what} is `{text}`, which is no time span; write {example}"));
            return None;
        };
        match Duration::try_from(duration) {
            Ok(duration) if (range.0..=range.1).contains(&duration) => Some(duration),
            _ => {
                self.error(node.at, format!("{what} is `{text}`, which is out of range; write a time span {words}"));
                None
            }
        }
    }

    /// One text or a list of texts, each with its place.
    pub fn texts<'a>(&mut self, node: &'a Node, what: &str, example: &str) -> Vec<(Place, &'a str)> {
        let nodes = match &node.value {
            Yaml::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if nodes.is_empty() {
            self.error(
                node.at,
                format!("{what} is an empty list, which matches nothing; write {example}, or remove the key"),
            );
        }
        let texts = nodes.iter().filter_map(|node| Some((node.at, self.text(node, what, example)?)));
        texts.collect()
    }
}

/// `a, b or c`
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A day is 24 hours here; months and years are no fixed time and are refused.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}
