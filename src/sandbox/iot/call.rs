//! The parameters of one API call, wherever the REST binding put them, and the paging that list operations share.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::error::IotError;

/// One call, taken apart: path labels, query, the principal header and the JSON body.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub labels: Vec<(&'static str, String)>,
    pub query: Vec<(String, String)>,
    pub principal: Option<String>,
    pub body: Map<String, Value>,
}

impl Call {
    /// A label of the path. The route that matched has put it there; an empty one is refused as AWS does.
    pub fn label(&self, name: &str) -> Result<&str, IotError> {
        self.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| IotError::invalid(format!("{name} must not be empty")))
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter with a fixed set of values.
    pub fn query_one_of(&self, name: &str, known: &[&str]) -> Result<Option<&str>, IotError> {
        match self.query(name) {
            Some(value) if !known.contains(&value) => {
                Err(IotError::invalid(format!("{name} must be one of {}, not {value:?}", known.join(", "))))
            }
            value => Ok(value),
        }
    }

    pub fn query_flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// A time in the query, which the REST binding writes as ISO 8601; epoch seconds are taken too.
    pub fn query_time_ms(&self, name: &str) -> Result<i64, IotError> {
        let text = self.query(name).ok_or_else(|| IotError::invalid(format!("{name} is required")))?;
        if let Ok(seconds) = text.parse::<f64>() {
            return Ok(seconds_to_ms(seconds));
        }
        text.parse::<jiff::Timestamp>()
            .map(|time| time.as_millisecond())
            .map_err(|_| IotError::invalid(format!("{name} is not a time: {text}")))
    }

    pub fn principal(&self) -> Result<&str, IotError> {
        self.principal.as_deref().ok_or_else(|| IotError::invalid("the header x-amzn-principal is required"))
    }

    pub fn member(&self, name: &str) -> Option<&Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }

    /// A string member of the body, `None` when absent.
    pub fn text(&self, name: &str) -> Result<Option<&str>, IotError> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(IotError::invalid(format!("{name} must be a string"))),
        }
    }

    pub fn required_text(&self, name: &str) -> Result<&str, IotError> {
        self.text(name)?.ok_or_else(|| IotError::invalid(format!("{name} is required")))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, IotError> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(IotError::invalid(format!("{name} must be true or false"))),
        }
    }

    /// A time in the body: epoch seconds with a fraction, as in every REST reply.
    pub fn time_ms(&self, name: &str) -> Result<Option<i64>, IotError> {
        match self.member(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(|seconds| Some(seconds_to_ms(seconds)))
                .ok_or_else(|| IotError::invalid(format!("{name} must be a time in epoch seconds"))),
        }
    }

    /// A list of strings in the body.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>, IotError> {
        self.member(name).map(|value| strings(name, value)).transpose()
    }

    /// Paging of the older operations: `pageSize` and `marker` in, `nextMarker` out. 250 a page at most.
    pub fn marker_page(&self) -> Result<Page, IotError> {
        Page::new(self.query("pageSize"), self.query("marker"), "pageSize", 25)
    }

    /// Paging of the newer operations that take it in the query: `maxResults` and `nextToken`.
    pub fn token_page(&self) -> Result<Page, IotError> {
        Page::new(self.query("maxResults"), self.query("nextToken"), "maxResults", 25)
    }

    /// Paging of the operations that take `maxResults` and `nextToken` in the body.
    pub fn body_page(&self) -> Result<Page, IotError> {
        let limit = self.member("maxResults").map(ToString::to_string);
        Page::new(limit.as_deref(), self.text("nextToken")?, "maxResults", 25)
    }
}

/// `["a", "b"]` or an error that names the member.
pub(super) fn strings(name: &str, value: &Value) -> Result<Vec<String>, IotError> {
    value
        .as_array()
        .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| IotError::invalid(format!("{name} must be a list of strings")))
}

#[expect(clippy::cast_possible_truncation, reason = "epoch milliseconds are far below 2^53")]
pub(super) fn seconds_to_ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Milliseconds as the REST API writes a time: epoch seconds with a fraction.
#[expect(clippy::cast_precision_loss, reason = "epoch milliseconds are far below 2^53")]
pub(super) fn seconds(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

/// What part of a list the caller wants.
#[derive(Debug)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

impl Page {
    fn new(limit: Option<&str>, token: Option<&str>, name: &str, default: usize) -> Result<Self, IotError> {
        let limit = match limit {
            None => default,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=250).contains(limit))
                .ok_or_else(|| IotError::invalid(format!("{name} must be between 1 and 250, not {text}")))?,
        };
        let after = token.map(decode_token).transpose()?;
        Ok(Self { limit, after })
    }

    /// A page of a map in key order: cheap however long the map, stable while entries come and go.
    pub fn of_map<'a, V>(
        &self,
        map: &'a BTreeMap<String, V>,
        mut wanted: impl FnMut(&'a V) -> bool,
        mut show: impl FnMut(&'a String, &'a V) -> Value,
    ) -> (Vec<Value>, Option<String>) {
        let from = match &self.after {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Unbounded,
        };
        let mut shown = Vec::new();
        let mut last = None;
        for (key, value) in map.range((from, Bound::Unbounded)) {
            if !wanted(value) {
                continue;
            }
            if shown.len() == self.limit {
                return (shown, last.map(encode_token));
            }
            shown.push(show(key, value));
            last = Some(key);
        }
        (shown, None)
    }

    /// A page of a sequence that only grows at its end; the token is a position in it.
    pub fn of_sequence<'a, T>(
        &self,
        items: &'a [T],
        mut wanted: impl FnMut(&'a T) -> bool,
        mut show: impl FnMut(&'a T) -> Value,
    ) -> Result<(Vec<Value>, Option<String>), IotError> {
        let start = match &self.after {
            None => 0,
            Some(position) => position.parse::<usize>().map_err(|_| bad_token())?,
        };
        let mut shown = Vec::new();
        for (position, item) in items.iter().enumerate().skip(start) {
            if !wanted(item) {
                continue;
            }
            if shown.len() == self.limit {
                return Ok((shown, Some(encode_token(position.to_string()))));
            }
            shown.push(show(item));
        }
        Ok((shown, None))
    }
}

/// A list reply: the items under `name`, and the token under `token_name` when there is more.
pub(super) fn page_reply(name: &str, (items, token): (Vec<Value>, Option<String>), token_name: &str) -> Value {
    let mut reply = Map::new();
    reply.insert(name.to_owned(), Value::Array(items));
    if let Some(token) = token {
        reply.insert(token_name.to_owned(), Value::String(token));
    }
    Value::Object(reply)
}

/// Tokens are opaque to callers, as in AWS; here they are a key or a position in hexadecimal.
fn encode_token(key: impl AsRef<str>) -> String {
    key.as_ref().bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_token(token: &str) -> Result<String, IotError> {
    let bytes: Option<Vec<u8>> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_token)
}

fn bad_token() -> IotError {
    IotError::invalid("the token is not one that this operation gave out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_map_cover_it_once_even_if_an_entry_of_the_last_page_has_gone() {
        let mut map: BTreeMap<String, u8> = (0..7).map(|n| (format!("k{n}"), n)).collect();
        let page = |limit: &str, token: Option<&str>| Page::new(Some(limit), token, "pageSize", 25).unwrap();
        let (first, token) = page("3", None).of_map(&map, |_| true, |key, _| json!(key));
        map.remove("k2");
        let (second, token) = page("3", token.as_deref()).of_map(&map, |_| true, |key, _| json!(key));
        let (third, end) = page("3", token.as_deref()).of_map(&map, |_| true, |key, _| json!(key));
        assert_eq!([first, second, third].concat(), ["k0", "k1", "k2", "k3", "k4", "k5", "k6"].map(Value::from));
        assert_eq!(end, None);
    }

    #[test]
    fn a_full_last_page_has_no_token() {
        let items = [1, 2, 3, 4];
        let page = Page::new(Some("2"), Some(&encode_token("2")), "maxResults", 25).unwrap();
        let (shown, token) = page.of_sequence(&items, |_| true, |item| json!(item)).unwrap();
        assert_eq!((shown, token), (vec![json!(3), json!(4)], None));
    }

    #[test]
    fn a_page_size_out_of_range_or_a_made_up_token_is_refused() {
        for limit in ["0", "251", "-1", "many"] {
            assert!(Page::new(Some(limit), None, "maxResults", 25).is_err(), "{limit}");
        }
        assert!(Page::new(None, Some("zz"), "maxResults", 25).is_err());
        let made_up = Page::new(None, Some(&encode_token("x")), "maxResults", 25).unwrap();
        assert!(made_up.of_sequence(&[1], |_| true, |item| json!(item)).is_err());
    }
}
