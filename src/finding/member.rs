//! Reads members of a JSON object; a sentence says which member is wrong, where, and how.

use serde_json::{Map, Value};

/// A time below this is taken for seconds: as seconds it ends in the year 5138, and as milliseconds it would lie before March 1973.
const SECONDS_BELOW: f64 = 1e11;

/// An object and where it stands in the message.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub map: &'a Map<String, Value>,
    pub path: &'a str,
}

impl<'a> Object<'a> {
    /// Where a member stands.
    pub fn at(&self, name: &str) -> String {
        join(self.path, name)
    }

    /// A member; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A member that must be there.
    pub fn required(&self, name: &str) -> Result<&'a Value, String> {
        self.get(name).ok_or_else(|| format!("{} is missing", self.at(name)))
    }

    /// A text, if the member is there.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| format!("{} is {}, not a text", self.at(name), kind(value)))?;
        Ok(Some(text))
    }

    /// A name of 1 to 256 characters: far above any of AWS's, and short enough for a key.
    pub fn name(&self, name: &str) -> Result<&'a str, String> {
        let text = self.text(name)?.ok_or_else(|| format!("{} is missing", self.at(name)))?;
        match text.chars().count() {
            1..=256 => Ok(text),
            length => Err(format!("{} has {length} characters instead of 1 to 256", self.at(name))),
        }
    }

    /// An object that must be there.
    pub fn object(&self, name: &str) -> Result<&'a Map<String, Value>, String> {
        let value = self.required(name)?;
        value.as_object().ok_or_else(|| format!("{} is {}, not an object", self.at(name), kind(value)))
    }

    /// A list; an absent one is empty.
    pub fn list(&self, name: &str) -> Result<&'a [Value], String> {
        let Some(value) = self.get(name) else { return Ok(&[]) };
        value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{} is {}, not a list", self.at(name), kind(value)))
    }

    /// A yes or no; an absent one is no.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| format!("{} is {}, not true or false", self.at(name), kind(value)))
    }

    /// A count; an absent one is zero.
    pub fn count(&self, name: &str) -> Result<u64, String> {
        let Some(value) = self.get(name) else { return Ok(0) };
        value.as_u64().ok_or_else(|| format!("{} is {}, not a whole number", self.at(name), kind(value)))
    }

    /// A time in milliseconds since the epoch.
    ///
    /// SNS payloads carry integer milliseconds, the REST API seconds with a fraction; see [`SECONDS_BELOW`].
    pub fn time(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|_| value.is_number());
        let number = number.ok_or_else(|| {
            format!("{} is {}, not a time in milliseconds (or seconds) since the epoch", self.at(name), kind(value))
        })?;
        let milliseconds = if number < SECONDS_BELOW { number * 1000.0 } else { number }.round();
        // The last millisecond of the year 9999.
        if number < 0.0 || !(0.0..253_402_300_800_000.0).contains(&milliseconds) {
            return Err(format!("{} is {value}, which is no time between the years 1970 and 9999", self.at(name)));
        }
        Ok(Some(milliseconds as i64))
    }
}

/// A time as [`Object::time`] reads it back: integer milliseconds, but seconds where those would be taken for seconds.
pub(super) fn time(milliseconds: i64) -> Value {
    // Exact: both have at most 15 digits.
    if (milliseconds as f64) < SECONDS_BELOW {
        Value::from(milliseconds as f64 / 1000.0)
    } else {
        Value::from(milliseconds)
    }
}

/// Where a member stands, below `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn time(value: Value) -> Result<Option<i64>, String> {
        let value = json!({ "findingTime": value });
        Object { map: value.as_object().unwrap(), path: "Message" }.time("findingTime")
    }

    #[test]
    fn milliseconds_and_fractional_seconds_tell_the_same_time() {
        assert_eq!(time(json!(1_791_014_401_456_i64)), Ok(Some(1_791_014_401_456)));
        assert_eq!(time(json!(1_791_014_401.456)), Ok(Some(1_791_014_401_456)));
        assert_eq!(time(json!(1_791_014_401)), Ok(Some(1_791_014_401_000)));
        assert_eq!(time(Value::Null), Ok(None));
    }

    #[test]
    fn a_time_that_is_no_number_or_out_of_range_is_refused_by_name() {
        for bad in [json!("2026-10-03"), json!(true), json!([1]), json!(-1), json!(1e300), json!(u64::MAX)] {
            let sentence = time(bad).unwrap_err();
            assert!(sentence.starts_with("Message.findingTime is "), "{sentence}");
        }
    }
}
