//! One operation at a time: timed by criterion, its allocations counted.

use criterion::Criterion;
use serde_json::Value;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

/// Criterion's own are 3 s and 5 s: fifty operations would take seven minutes. On an idle machine these repeat to within 2 %.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_millis(1000);

/// What one operation costs, each number for one of its entries.
#[derive(Debug)]
pub struct Row {
    /// The stage.
    pub stage: &'static str,
    /// What it works on.
    pub kind: String,
    /// Nanoseconds; none where criterion did not measure (`--test`).
    pub nanoseconds: Option<f64>,
    /// Allocations; a buffer that grows counts each time.
    pub allocations: f64,
    /// Bytes allocated.
    pub bytes: f64,
}

/// Criterion, and what came of it.
pub struct Bench {
    criterion: Criterion,
    estimates: PathBuf,
    rows: Vec<Row>,
}

impl Bench {
    /// As the command line says.
    pub fn from_arguments() -> Self {
        let estimates = crate::files::target().join("criterion");
        let criterion = Criterion::default()
            .warm_up_time(WARM_UP)
            .measurement_time(MEASUREMENT)
            .nresamples(10_000)
            .output_directory(&estimates)
            .configure_from_args();
        Self { criterion, estimates, rows: Vec::new() }
    }

    /// One operation on one thing.
    pub fn case<T>(&mut self, stage: &'static str, kind: &str, operation: impl FnMut() -> T) {
        self.batch(stage, kind, 1, operation);
    }

    /// One operation on several things; its cost is told for one of them.
    pub fn batch<T>(&mut self, stage: &'static str, kind: &str, entries: u32, mut operation: impl FnMut() -> T) {
        let file = self.estimates.join(stage).join(kind).join("new/estimates.json");
        let mut allocated = None;
        let mut group = self.criterion.benchmark_group(stage);
        // Criterion comes here only with what its arguments choose, and more than once.
        group.bench_function(kind, |bencher| {
            allocated.get_or_insert_with(|| {
                // An earlier run's must not be taken for this one's.
                let _ = fs::remove_file(&file);
                // The first time, lazy values are made.
                black_box(operation());
                allocation_counter::measure(|| drop(black_box(operation())))
            });
            allocation_counter::opt_out(|| bencher.iter(&mut operation));
        });
        group.finish();
        if let Some(allocated) = allocated {
            let entries = f64::from(entries);
            self.rows.push(Row {
                stage,
                kind: kind.to_owned(),
                nanoseconds: estimate(&file).map(|nanoseconds| nanoseconds / entries),
                allocations: allocated.count_total as f64 / entries,
                bytes: allocated.bytes_total as f64 / entries,
            });
        }
    }

    /// What was run.
    pub fn finish(self) -> Vec<Row> {
        self.criterion.final_summary();
        self.rows
    }
}

/// Criterion's estimate of one call in nanoseconds: the slope over samples of growing size, else (few samples) the mean.
fn estimate(file: &PathBuf) -> Option<f64> {
    let estimates: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    ["slope", "mean"].into_iter().find_map(|name| estimates[name]["point_estimate"].as_f64())
}
