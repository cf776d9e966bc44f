//! How the program speaks on standard error: lines for people, or JSON for programs, from the first word to the last.
//!
//! Standard output has results and nothing else.

use super::json_lines::{self, JsonLines, line, to_stderr};
use super::spans::{FINDING, TARGET};
use super::traces::Traces;
use crate::clock::Clock;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Set by the agent in every container of a task on ECS (Fargate 1.4.0, EC2 since agent 1.39.0). Source: Amazon ECS, "Task metadata
/// endpoint version 4".
const ECS: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// `--log-format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// JSON on Amazon ECS, text elsewhere.
    #[default]
    Auto,
    /// For people; in colour on a terminal, unless NO_COLOR is set.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// How lines look, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text { colour: bool },
    Json,
}

impl LogFormat {
    /// The format of a command line that cannot be read: what it and the environment say nevertheless. The last word counts.
    pub fn of_arguments(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut told = std::env::var("FLEETWARDEN_LOG_FORMAT").unwrap_or_default();
        // Not all that can be written on a command line is Unicode; `--log-format` and what it may be is.
        let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--log-format") {
                Some("") => told = arguments.next().unwrap_or_default(),
                Some(value) => told = value.strip_prefix('=').map(str::to_owned).unwrap_or(told),
                None => {}
            }
        }
        clap::ValueEnum::from_str(&told, true).unwrap_or_default()
    }

    fn style(self, environment: impl Fn(&str) -> Option<String>, terminal: bool) -> Style {
        let is_set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Json => Style::Json,
            Self::Auto if is_set(ECS) => Style::Json,
            // <https://no-color.org>: present and not empty.
            Self::Auto | Self::Text => Style::Text { colour: terminal && !is_set("NO_COLOR") },
        }
    }

    fn style_here(self) -> Style {
        self.style(|name| std::env::var(name).ok(), std::io::stderr().is_terminal())
    }
}

/// Logging as it was set up, until the program ends.
#[derive(Debug)]
pub struct Logging {
    style: Style,
    traces: Option<Traces>,
}

impl Logging {
    /// Sets logging, panics and, with an endpoint (see [`Traces::start`]), traces up for this process. `filter` is what `--log` means.
    ///
    /// # Errors
    /// A sentence, where the filter or the endpoint cannot be used.
    pub fn start(filter: &str, format: LogFormat, otlp: Option<&str>) -> Result<Self, String> {
        let style = format.style_here();
        let filter = EnvFilter::try_new(filter).map_err(|error| {
            format!("--log: {error}; write a level such as info, or a filter such as fleetwarden=debug")
        })?;
        let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
        layers.push(match style {
            Style::Json => {
                let lines = JsonLines::new(Clock::system(), to_stderr);
                lines.with_filter(filter.or(the_findings())).boxed()
            }
            Style::Text { colour } => {
                let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
                lines.with_target(false).with_filter(filter.and(none_of_ours())).boxed()
            }
        });
        let traces = match otlp.map(Traces::start).transpose()? {
            Some((traces, layer)) => {
                layers.push(layer.boxed());
                Some(traces)
            }
            None => None,
        };
        tracing_subscriber::registry().with(layers).try_init().map_err(|error| error.to_string())?;
        std::panic::set_hook(Box::new(move |panic| {
            let backtrace = Backtrace::capture();
            tell(style, &panic_told(panic), Some(backtrace).filter(|it| it.status() == BacktraceStatus::Captured));
        }));
        Ok(Self { style, traces })
    }

    /// Sends what is left of the traces.
    pub async fn flush(&mut self) {
        if let Some(traces) = self.traces.take() {
            traces.end().await;
        }
    }

    /// The last word of a command that failed.
    pub fn last_word(&self, error: &impl fmt::Display) {
        last_word(self.style, error);
    }
}

/// The last word of a command that failed before logging was set up.
pub fn refuse(format: LogFormat, error: &impl fmt::Display) {
    last_word(format.style_here(), error);
}

/// What clap says of a command line that it cannot run: help and versions, or what is wrong with it.
pub fn misread(format: LogFormat, error: &clap::Error) -> ExitCode {
    match format.style_here() {
        Style::Json if error.use_stderr() => {
            let said = error.render().to_string();
            tell(Style::Json, said.trim().trim_start_matches("error: "), None);
        }
        // Where it would print to is gone, and with it whoever would read that.
        _ => drop(error.print()),
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn last_word(style: Style, error: &impl fmt::Display) {
    match style {
        Style::Text { .. } => to_stderr(&format!("error: {error}\n")),
        Style::Json => tell(style, &error.to_string(), None),
    }
}

/// A line of level ERROR that no filter keeps back.
fn tell(style: Style, message: &str, backtrace: Option<Backtrace>) {
    let clock = Clock::system();
    let text = match style {
        Style::Json => {
            let mut line = line(&clock, "ERROR", message, "fleetwarden");
            if let Some(backtrace) = backtrace {
                line.insert("backtrace".to_owned(), backtrace.to_string().into());
            }
            json_lines::text(line)
        }
        Style::Text { .. } => {
            let backtrace = backtrace.map(|it| format!("\n{it}")).unwrap_or_default();
            format!("{:.6} ERROR {message}{backtrace}\n", clock.now())
        }
    };
    to_stderr(&text);
}

/// One line: where, and what.
fn panic_told(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let what = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("no words").replace('\n', " ");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    format!("panicked at {at}: {what}; this is a bug, please report it")
}

/// The spans that lines take the finding from, whatever level is logged.
fn the_findings() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata: &Metadata<'_>| metadata.target() == TARGET && metadata.name() == FINDING)
        .with_max_level_hint(LevelFilter::INFO)
}

/// Each line says itself which finding it is about: a list of spans before it would say it twice.
fn none_of_ours() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata: &Metadata<'_>| metadata.target() != TARGET).with_max_level_hint(LevelFilter::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn style(format: LogFormat, set: &[(&str, &str)], terminal: bool) -> Style {
        let of = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        format.style(of, terminal)
    }

    #[test]
    fn left_to_itself_it_writes_json_on_ecs_and_text_elsewhere() {
        let ecs = (ECS, "http://169.254.170.2/v4/abc");
        assert_eq!(style(LogFormat::Auto, &[ecs], false), Style::Json);
        assert_eq!(style(LogFormat::Auto, &[ecs], true), Style::Json);
        assert_eq!(style(LogFormat::Auto, &[], false), Style::Text { colour: false });
        assert_eq!(style(LogFormat::Auto, &[(ECS, "")], true), Style::Text { colour: true });
        assert_eq!(style(LogFormat::Text, &[ecs], false), Style::Text { colour: false });
        assert_eq!(style(LogFormat::Json, &[], true), Style::Json);
    }

    #[test]
    fn colour_is_for_terminals_whose_user_does_not_object() {
        assert_eq!(style(LogFormat::Text, &[("NO_COLOR", "1")], true), Style::Text { colour: false });
        assert_eq!(style(LogFormat::Text, &[("NO_COLOR", "")], true), Style::Text { colour: true });
    }

    #[test]
    fn a_panic_is_one_line_that_says_where() {
        let (me, told) = (std::thread::current().id(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
        let hook = std::sync::Arc::clone(&told);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == me {
                hook.lock().unwrap().push(panic_told(panic));
            }
        }));
        let panicked = std::panic::catch_unwind(|| panic!("it is {}\nbroken", "so"));
        std::panic::set_hook(before);
        assert!(panicked.is_err());
        let told = told.lock().unwrap();
        assert!(told[0].starts_with("panicked at src/telemetry/logging.rs:"), "{told:?}");
        assert!(told[0].contains(": it is so broken; this is a bug"), "{told:?}");
    }

    #[test]
    fn the_format_is_read_even_from_a_command_line_that_is_wrong() {
        let of = |words: &str| LogFormat::of_arguments(words.split(' ').map(OsString::from));
        assert_eq!(of("run --log-format json --nonsense"), LogFormat::Json);
        assert_eq!(of("run --log-format=json --log-format=text"), LogFormat::Text);
        assert_eq!(of("run --log-formats=json"), LogFormat::Auto);
        assert_eq!(of("run --log-format"), LogFormat::Auto);
        assert_eq!(of("run --log-format xml"), LogFormat::Auto);
        let no_text = OsString::from_vec(vec![b'-', 0xff]);
        let arguments = [no_text, "--log-format=json".into()];
        assert_eq!(LogFormat::of_arguments(arguments), LogFormat::Json);
    }
}
