//! What is run, and what is demanded of it.

use crate::Arguments;
use crate::figures::{Demand, Figure, Outcome, Unit};
use crate::run::{Failure, Measured, Plan, idle_memory, run};
use std::time::Duration;

const COUNT: Unit = Unit { scale: 1.0, digits: 0, name: "" };
const EACH: Unit = Unit { scale: 1.0, digits: 3, name: "" };
const MILLISECONDS: Unit = Unit { scale: 1.0, digits: 3, name: " ms" };
const SECONDS: Unit = Unit { scale: 1.0, digits: 2, name: " s" };
const MEBIBYTES: Unit = Unit { scale: 1.0, digits: 1, name: " MiB" };
const PART: Unit = Unit { scale: 100.0, digits: 0, name: " %" };

/// Milliseconds of the worker's CPU time for a new finding with one action, and for a duplicate.
const CPU: (f64, f64) = (0.25, 0.10);
/// Requests for a finding, those of its action left out.
const REQUESTS: f64 = 0.45;
/// With more duplicates than this most requests and most of the CPU time are theirs: nothing is demanded of the requests for a finding, and
/// what a duplicate costs can be told.
const MOSTLY_FINDINGS: f64 = 0.5;
/// Seconds from 99 % to 100 %.
const TAIL: f64 = 2.0;
/// Mebibytes above an idle worker.
const MEMORY: f64 = 64.0;
/// The part of the arithmetic that must come true while the processor is not full: of runs of ten seconds, in the first of which a worker
/// learns how much of the budgets it can use.
const FOLLOWS: f64 = 0.8;
/// The part of the machine, worker and endpoint together, from which on work waits for a processor, and the part of the one processor that
/// the endpoint can use.
const FULL: (f64, f64) = (0.6, 0.9);
/// Nothing is demanded of delays below so many milliseconds: a poll takes two beside the delay, for its answer to be made, sent and read.
const CLEAR: u64 = 10;
/// Messages of a case with delay: enough for ten seconds at the highest rate that a processor reaches.
const DELAYED: (u64, u64) = (1_000, 120_000);

/// The cases without delay: what each kind of message costs, and what a large backlog takes in memory.
///
/// # Errors
/// A run comes to no end.
pub fn costs(arguments: &Arguments) -> Result<Vec<Outcome>, Failure> {
    let plan = Plan {
        program: arguments.program.clone(),
        messages: arguments.messages,
        duplicates: 0.0,
        delay: Duration::ZERO,
        arguments: arguments.worker.clone(),
        seed: arguments.seed,
    };
    let mut outcomes = Vec::new();
    // Of the first case without duplicates: milliseconds for a new finding.
    let mut fresh = None;
    for &duplicates in &arguments.duplicates {
        let measured = told(&Plan { duplicates, ..plan.clone() }, &format!("{:.0} % duplicates", 100.0 * duplicates))?;
        let each = 1e3 * measured.cpu().as_secs_f64() / measured.messages as f64;
        let mut figures = vec![Figure::new("cpu_for_each_message", each, MILLISECONDS, Demand::Nothing)];
        if duplicates == 0.0 {
            fresh = Some(each);
            figures.push(Figure::new("cpu_for_a_new_finding", each, MILLISECONDS, Demand::AtMost(CPU.0)));
        } else if let Some(fresh) = fresh.filter(|_| duplicates > MOSTLY_FINDINGS) {
            // With fewer, it would be the small difference of two large figures that vary.
            let duplicate = (each - (1.0 - duplicates) * fresh) / duplicates;
            figures.push(Figure::new("cpu_for_a_duplicate", duplicate, MILLISECONDS, Demand::AtMost(CPU.1)));
        }
        figures.extend(usual(&measured, duplicates));
        outcomes.push(Outcome { case: format!("{:.0} % duplicates", 100.0 * duplicates), figures });
    }
    if arguments.backlog > 0 {
        let idle = idle_memory(&arguments.program)?;
        let case = format!("{} messages", arguments.backlog);
        let measured = told(&Plan { messages: arguments.backlog, duplicates: 0.9, ..plan }, &case)?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let above = mebibytes(measured.peak_memory) - mebibytes(idle);
        let mut figures = usual(&measured, 0.9);
        figures.push(Figure::new("memory_of_an_idle_worker", mebibytes(idle), MEBIBYTES, Demand::Nothing));
        figures.push(Figure::new("peak_above_it", above, MEBIBYTES, Demand::AtMost(MEMORY)));
        outcomes.push(Outcome { case, figures });
    }
    Ok(outcomes)
}

fn told(plan: &Plan, case: &str) -> Result<Measured, Failure> {
    eprintln!("{case}, {} messages", plan.messages);
    let measured = run(plan)?;
    eprintln!("  {:.1} s", measured.took().as_secs_f64());
    Ok(measured)
}

fn usual(measured: &Measured, duplicates: f64) -> Vec<Figure> {
    let per_finding = if duplicates <= MOSTLY_FINDINGS { Demand::AtMost(REQUESTS) } else { Demand::Nothing };
    let each = |count: u64| count as f64 / measured.messages as f64;
    let [sqs, dynamodb, iot] = ["SQS", "DynamoDB", "IoT"].map(|service| each(measured.requests(service)));
    let cpu = |time: Duration| time.as_secs_f64() / measured.took().as_secs_f64();
    vec![
        Figure::new("messages_a_second", measured.rate(), COUNT, Demand::Nothing),
        Figure::new("processors_of_the_worker", cpu(measured.cpu()), PART, Demand::Nothing),
        Figure::new("processors_of_the_endpoint", cpu(measured.endpoint_cpu()), PART, Demand::Nothing),
        Figure::new("requests_to_SQS_for_each_message", sqs, EACH, Demand::Nothing),
        Figure::new("to_DynamoDB", dynamodb, EACH, Demand::Nothing),
        Figure::new("to_IoT_beside_the_action", iot, EACH, Demand::Nothing),
        Figure::new("all_beside_the_action", sqs + dynamodb + iot, EACH, Demand::AtMost(REQUESTS)),
        Figure::new("the_same_for_each_finding", (sqs + dynamodb + iot) / (1.0 - duplicates), EACH, per_finding),
        Figure::new("certificates_deactivated", measured.record.mitigated as f64, COUNT, Demand::Nothing),
        Figure::new("received_again", measured.record.received_again as f64, COUNT, Demand::Nothing),
        Figure::new("first_receive_to_99_%", measured.to_99().as_secs_f64(), SECONDS, Demand::Nothing),
        Figure::new("99_%_to_100_%", measured.tail().as_secs_f64(), SECONDS, Demand::AtMost(TAIL)),
    ]
}

/// The cases with delay: throughput by pollers and round trip.
///
/// # Errors
/// A run comes to no end.
pub fn round_trips(arguments: &Arguments, delays: &[u64]) -> Result<Vec<Outcome>, Failure> {
    let all_processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let mut outcomes = Vec::new();
    for &delay in delays {
        for pollers in [1_u64, 2, 4, 8] {
            let seconds = delay.max(1) as f64 / 1e3;
            let predicted = pollers as f64 * 10.0 / seconds;
            // Ten seconds' worth, if the arithmetic holds.
            let messages = ((predicted * 10.0) as u64).clamp(DELAYED.0, DELAYED.1);
            // As many as are under way at that rate: see `WorkerConfig`.
            let concurrency = ((predicted * (4.0 * seconds + 0.03)) as u64).clamp(256, 4096);
            let held = ((predicted * (8.0 * seconds + 0.06)) as u64).clamp(512, 100_000);
            let with = [
                format!("--pollers={pollers}"),
                format!("--concurrency={concurrency}"),
                format!("--max-in-flight={held}"),
            ];
            let plan = Plan {
                program: arguments.program.clone(),
                messages,
                duplicates: 0.3,
                delay: Duration::from_millis(delay),
                arguments: with.into_iter().chain(arguments.worker.iter().cloned()).collect(),
                seed: arguments.seed,
            };
            let case = format!("{delay} ms, {pollers}");
            let measured = told(&plan, &format!("round trip {delay} ms, {pollers} pollers"))?;
            let processors = |time: Duration| time.as_secs_f64() / measured.took().as_secs_f64();
            let busy = (processors(measured.cpu()) + processors(measured.endpoint_cpu())) / all_processors;
            let is_full = busy >= FULL.0 || processors(measured.endpoint_cpu()) >= FULL.1;
            let demand = if is_full || delay < CLEAR { Demand::Nothing } else { Demand::AtLeast(FOLLOWS) };
            outcomes.push(Outcome {
                case,
                figures: vec![
                    Figure::new("messages_a_second", measured.rate(), COUNT, Demand::Nothing),
                    Figure::new("pollers_x_10_/_round_trip", predicted, COUNT, Demand::Nothing),
                    Figure::new("of_the_arithmetic", measured.rate() / predicted, PART, demand),
                    Figure::new("processors_of_the_worker", processors(measured.cpu()), PART, Demand::Nothing),
                    Figure::new("of_the_machine", busy, PART, Demand::Nothing),
                ],
            });
        }
    }
    Ok(outcomes)
}
