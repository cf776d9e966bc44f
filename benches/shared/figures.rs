//! Figures, what is demanded of them, and the case that they make.

use serde_json::{Map, Value, json};
use std::fmt;

/// One thing that a case shows.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its key in JSON; with spaces for underscores, its name in the table.
    pub key: &'static str,
    /// `None`: it never came to be, which fails whatever is demanded.
    pub value: Option<f64>,
    /// How it is printed.
    pub unit: Unit,
    /// What is demanded.
    pub demand: Demand,
}

/// What a figure counts, and so how it is printed.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// What it is multiplied with: 100 for a part that is printed in percent.
    pub scale: f64,
    /// Digits behind the point.
    pub digits: usize,
    /// With the space before it.
    pub name: &'static str,
}

/// What is demanded of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Demand {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
    /// Nothing: it is told for information.
    Nothing,
}

impl Figure {
    /// A figure that must be as demanded.
    pub fn new(key: &'static str, value: impl Into<Option<f64>>, unit: Unit, demand: Demand) -> Self {
        Self { key, value: value.into(), unit, demand }
    }

    /// Whether it is as demanded.
    pub fn pass(&self) -> bool {
        match (self.value, self.demand) {
            (_, Demand::Nothing) => true,
            (None, _) => false,
            (Some(value), Demand::AtLeast(least)) => value >= least,
            (Some(value), Demand::AtMost(most)) => value <= most,
        }
    }

    fn print(&self, value: f64) -> String {
        let Unit { scale, digits, name } = self.unit;
        format!("{:.digits$}{name}", scale * value)
    }

    fn text(&self) -> String {
        self.value.map_or_else(|| "never".to_owned(), |value| self.print(value))
    }

    /// The sentence that a reader of a failed run wants.
    pub fn complaint(&self) -> String {
        let demanded = match self.demand {
            Demand::AtLeast(least) => format!("at least {}", self.print(least)),
            Demand::AtMost(most) => format!("at most {}", self.print(most)),
            Demand::Nothing => "anything".to_owned(),
        };
        format!("{} is {}, and must be {demanded}", self.key.replace('_', " "), self.text())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text(), if self.pass() { "" } else { " ✗" })
    }
}

/// A case that was run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What it is called.
    pub case: String,
    /// What it shows.
    pub figures: Vec<Figure>,
}

impl Outcome {
    /// Whether every figure is as demanded.
    pub fn pass(&self) -> bool {
        self.figures.iter().all(Figure::pass)
    }

    /// The figure with this key.
    pub fn figure(&self, key: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key == key)
    }

    /// `{case, figures, demands, pass}`.
    pub fn json(&self) -> Value {
        let mut figures = Map::new();
        let mut demands = Map::new();
        for figure in &self.figures {
            // Four decimals: a part of six thousand calls.
            figures.insert(figure.key.to_owned(), json!(figure.value.map(|value| (value * 1e4).round() / 1e4)));
            let demand = match figure.demand {
                Demand::AtLeast(least) => json!({ "atLeast": least }),
                Demand::AtMost(most) => json!({ "atMost": most }),
                Demand::Nothing => continue,
            };
            demands.insert(figure.key.to_owned(), demand);
        }
        json!({ "case": self.case, "figures": figures, "demands": demands, "pass": self.pass() })
    }
}
