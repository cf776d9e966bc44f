//! Lines times prices.

use super::model::{Estimate, Line, Part};
use super::price::Prices;

/// A line and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What is called and billed.
    pub line: Line,
    /// US dollars.
    pub usd: f64,
}

/// What the lines of a service come to.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSum {
    /// `SQS`, `DynamoDB`, ...
    pub service: &'static str,
    /// Requests to it.
    pub requests: f64,
    /// US dollars.
    pub usd: f64,
}

/// What a workload costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Bill {
    /// A line for each kind of request, those of one service together.
    pub items: Vec<Item>,
    /// A sum for each service, in the order of the items.
    pub services: Vec<ServiceSum>,
}

impl Bill {
    /// Prices an estimate.
    pub fn new(estimate: &Estimate, prices: &Prices) -> Self {
        let mut services: Vec<ServiceSum> = Vec::new();
        let mut items = Vec::new();
        for line in &estimate.lines {
            let usd = prices.usd(line.charge, line.units);
            match services.iter_mut().find(|sum| sum.service == line.service) {
                Some(sum) => (sum.requests, sum.usd) = (sum.requests + line.requests, sum.usd + usd),
                None => services.push(ServiceSum { service: line.service, requests: line.requests, usd }),
            }
            items.push(Item { line: line.clone(), usd });
        }
        let place = |item: &Item| services.iter().position(|sum| sum.service == item.line.service);
        items.sort_by_key(place);
        Self { items, services }
    }

    /// Requests of this part.
    pub fn requests_of(&self, part: Part) -> f64 {
        self.items.iter().filter(|item| item.line.part == part).fold(0.0, |sum, item| sum + item.line.requests)
    }

    /// All requests.
    pub fn requests(&self) -> f64 {
        self.services.iter().map(|sum| sum.requests).sum()
    }

    /// All of it, US dollars.
    pub fn usd(&self) -> f64 {
        self.services.iter().map(|sum| sum.usd).sum()
    }
}
