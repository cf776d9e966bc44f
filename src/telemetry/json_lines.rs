//! Log lines for programs: one flat JSON object each, so that a field is a name to filter on (`filter check = "..."` in CloudWatch
//! Logs Insights) and not a path.

use crate::clock::Clock;
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::io::Write;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// What a line has of the finding that it is in, unless it says so itself.
const CARRIED: [&str; 5] = ["finding", "check", "resource", "epoch", "worker"];

/// Names that are the line's own; a field of this name is put behind a prefix.
const RESERVED: [&str; 3] = ["timestamp", "level", "target"];

/// A layer that hands each event to `write` as one line, with its end.
#[derive(Debug)]
pub(super) struct JsonLines<W> {
    clock: Clock,
    write: W,
}

impl<W: Fn(&str)> JsonLines<W> {
    pub fn new(clock: Clock, write: W) -> Self {
        Self { clock, write }
    }
}

/// A line with no fields but the usual.
pub(super) fn line(clock: &Clock, level: &str, message: &str, target: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), format!("{:.6}", clock.now()).into());
    line.insert("level".to_owned(), level.into());
    line.insert("message".to_owned(), message.into());
    line.insert("target".to_owned(), target.into());
    line
}

/// The text of a line, with its end.
pub(super) fn text(line: Map<String, Value>) -> String {
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    text
}

/// Writes to standard error in one piece. Whoever reads may be gone, which is no reason to end.
pub(super) fn to_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// What is kept of a span.
struct Kept(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut kept = Map::new();
        attributes.record(&mut Fields(|name, value| {
            if CARRIED.contains(&name) {
                kept.insert(name.to_owned(), value);
            }
        }));
        span.extensions_mut().insert(Kept(kept));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = line(&self.clock, metadata.level().as_str(), "", metadata.target());
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Kept(fields)) = span.extensions().get::<Kept>() {
                line.extend(fields.clone());
            }
        }
        event.record(&mut Fields(|name: &'static str, value| {
            let name = if RESERVED.contains(&name) { format!("field.{name}") } else { name.to_owned() };
            line.insert(name, value);
        }));
        (self.write)(&text(line));
    }
}

/// Takes fields of any type by name.
struct Fields<F>(F);

impl<F: FnMut(&'static str, Value)> Visit for Fields<F> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        (self.0)(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        (self.0)(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        (self.0)(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        (self.0)(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (self.0)(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        (self.0)(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    /// What is logged in `work`, read as JSON.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&written);
        let clock = Clock::system();
        let layer = JsonLines::new(clock, move |text: &str| sink.lock().unwrap().push_str(text));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let written = written.lock().unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_a_flat_object_whose_fields_keep_their_types() {
        let lines = lines(|| {
            let text = "two\nlines and \"quotes\"";
            tracing::warn!(target: "here", n = 7, least = -1, part = 0.5, yes = true, text, shown = %"x", "it {}", "happened");
        });
        let line = lines[0].as_object().unwrap();
        let at: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && at > jiff::Timestamp::UNIX_EPOCH);
        let names: Vec<&str> = line.keys().map(String::as_str).collect();
        assert_eq!(names, ["timestamp", "level", "message", "target", "n", "least", "part", "yes", "text", "shown"]);
        assert_eq!(
            (&line["level"], &line["message"], &line["target"]),
            (&"WARN".into(), &"it happened".into(), &"here".into())
        );
        assert_eq!(
            (&line["n"], &line["least"], &line["part"], &line["yes"]),
            (&7.into(), &(-1).into(), &0.5.into(), &true.into())
        );
        assert_eq!((&line["text"], &line["shown"]), (&"two\nlines and \"quotes\"".into(), &"x".into()));
    }

    #[test]
    fn a_field_that_is_named_as_a_part_of_the_line_does_not_replace_it() {
        let lines = lines(|| tracing::info!(level = "high", timestamp = 1, "m"));
        assert_eq!((&lines[0]["level"], &lines[0]["field.level"]), (&"INFO".into(), &"high".into()));
        assert_eq!(lines[0]["field.timestamp"], 1);
    }

    #[test]
    fn a_line_in_a_finding_has_its_fields_unless_it_says_them_itself() {
        let lines = lines(|| {
            let span = tracing::info_span!("finding", finding = "f", epoch = 2, otel.kind = "consumer");
            let _in = span.enter();
            tracing::info!(epoch = 3, "m");
            tracing::info_span!("call").in_scope(|| tracing::info!("n"));
        });
        assert_eq!((&lines[0]["finding"], &lines[0]["epoch"]), (&"f".into(), &3.into()));
        assert_eq!((&lines[1]["finding"], &lines[1]["epoch"]), (&"f".into(), &2.into()));
        assert!(lines[0].get("otel.kind").is_none());
    }
}
