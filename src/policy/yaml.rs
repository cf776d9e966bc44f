//! YAML as a tree in which everything knows its line and column, so that every error can be told at once and in place.

use super::PolicyError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, RenderOptions, SnippetMode, Spanned, UserMessageFormatter};
use std::fmt;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };

    fn of(location: serde_saphyr::Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub at: Place,
    pub value: Yaml,
}

#[derive(Debug)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The name of a member and where it stands.
#[derive(Debug)]
pub(super) struct Key {
    pub at: Place,
    pub name: String,
}

/// Reads one YAML document. The parser's own limits hold (size, depth, aliases); keys must be unique.
pub(super) fn parse(text: &str) -> Result<Node, PolicyError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map_or(Place::START, Place::of);
        let formatter: &dyn MessageFormatter = &UserMessageFormatter;
        let mut options = RenderOptions::new(formatter);
        options.snippets = SnippetMode::Off;
        let what = error.without_snippet().render_with_options(options);
        // The parser repeats the place, which already stands in front.
        let place = format!(" at line {}, column {}", at.line, at.column);
        let what = what.strip_suffix(&place).unwrap_or(&what);
        PolicyError {
            line: at.line,
            column: at.column,
            message: format!("not readable as YAML: {what}; correct it here or just before"),
        }
    })
}

impl Node {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Integer(_) | Yaml::Float(_) => "a number",
            Yaml::Text(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Self { at: Place::of(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some((name, value)) = members.next_entry::<Spanned<String>, Node>()? {
            map.push((Key { at: Place::of(name.referenced), name: name.value }, value));
        }
        Ok(Yaml::Map(map))
    }
}
